"""Tells twistd that there is mynet."""

from twisted.application.service import ServiceMaker

mynet = ServiceMaker("mynet", "mynet.daemon", "An event-driven web server.", "mynet")
