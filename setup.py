"""What setup.cfg cannot say: packages found here, and one put among Twisted's own."""

from setuptools import find_packages, setup

# twisted_plugins has no __init__.py: it would overwrite Twisted's when it is installed.
setup(
    packages=[*find_packages(include=["mynet", "mynet.*"]), "twisted.plugins"],
    package_dir={"twisted.plugins": "twisted_plugins"},
)
