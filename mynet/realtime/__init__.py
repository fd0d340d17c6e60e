"""Real time: what one client or handler says, many hear.

`MemoryTopics` has its topics in the memory of one process, behind the interface `Topics`,
which is the same for what will have them elsewhere.
"""

from mynet.realtime.memory import MemoryTopics
from mynet.realtime.topics import Subscriber, TopicError, TopicLimits, Topics, TopicStats

__all__ = [
    "MemoryTopics",
    "Subscriber",
    "TopicError",
    "TopicLimits",
    "TopicStats",
    "Topics",
]
