"""The files of the folder that FILES tells, by Starlette."""

from __future__ import annotations

import os

from starlette.applications import (  # type: ignore[import-not-found, unused-ignore]
    Starlette,
)
from starlette.routing import Mount  # type: ignore[import-not-found, unused-ignore]
from starlette.staticfiles import (  # type: ignore[import-not-found, unused-ignore]
    StaticFiles,
)

app = Starlette(routes=[Mount("/static", StaticFiles(directory=os.environ["FILES"]))])
