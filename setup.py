"""What setup.cfg cannot say: packages found here, one put among Twisted's own, clean builds."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class CleanBuild(build_py):
    """Builds without what an earlier build has left of modules that are gone or renamed."""

    def run(self) -> None:
        for package in self.packages or ():
            shutil.rmtree(Path(self.build_lib, *package.split(".")), ignore_errors=True)
        super().run()


# twisted_plugins has no __init__.py: it would overwrite Twisted's when it is installed.
setup(
    cmdclass={"build_py": CleanBuild},
    packages=[*find_packages(include=["mynet", "mynet.*"]), "twisted.plugins"],
    package_dir={"twisted.plugins": "twisted_plugins"},
)
