"""The demo site: what `twistd mynet` serves when it is not told what to serve."""

from mynet.demo.site import demo_site

__all__ = ["demo_site"]
