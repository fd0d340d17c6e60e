"""Tells twistd that there are mynet and its reactor."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

mynet = ServiceMaker("mynet", "mynet.daemon", "An event-driven web server.", "mynet")
uv = Reactor("uv", "mynet.uvreactor", "libuv's own transports, by uvloop; with asyncio.")
