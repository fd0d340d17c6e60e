"""A site of Django's in threads: forms, uploads, files, streams, and sessions in cookies.

Django's settings are global to a process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="it is not",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_TZ=True,
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler as DjangoHandler  # noqa: E402
from django.core.signals import request_finished  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402

from mynet import App  # noqa: E402
from mynet.handlers.wsgi import WSGIHandler  # noqa: E402

finished = [0]


def count(**_: Any) -> None:
    finished[0] += 1


request_finished.connect(count)


def asked(request: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse(
        {
            "number": number,
            "query": request.GET.getlist("tag"),
            "cookie": request.COOKIES.get("name"),
            "uri": request.build_absolute_uri(),
            "script": request.META["SCRIPT_NAME"],
            "client": request.META["REMOTE_ADDR"],
            "secure": request.is_secure(),
        }
    )


def upload(request: HttpRequest) -> JsonResponse:
    seen = hashlib.sha256()
    while piece := request.read(65536):
        seen.update(piece)
    return JsonResponse({"sha256": seen.hexdigest()})


def form(request: HttpRequest) -> JsonResponse:
    photo = request.FILES["photo"]
    return JsonResponse({"name": photo.name, "size": photo.size})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number

    return StreamingHttpResponse(lines())


def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


def source(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"), content_type="text/x-python")


def ended(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(finished[0]))


def error(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a bug")


urlpatterns = [
    path("asked/<int:number>", asked),
    path("upload", upload),
    path("form", form),
    path("stream", stream),
    path("visits", visits),
    path("source", source),
    path("ended", ended),
    path("error", error),
]

served = App()
served.mount("/site", WSGIHandler(DjangoHandler()))
