"""Serve resources of twisted.web: `ResourceHandler`."""

from mynet.handlers.resource.handler import ResourceHandler

__all__ = ["ResourceHandler"]
