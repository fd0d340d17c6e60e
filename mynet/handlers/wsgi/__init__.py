"""WSGI applications (PEP 3333) as handlers, each on threads of its own.

    app.mount("/old", WSGIHandler(flask_app))

| module | what it knows |
|---|---|
| `environ.py`, `rules.py` | what PEP 3333 says of requests and of applications, sans I/O |
| `errors.py`, `files.py`, `input.py`, `output.py` | what passes between application and client |
| `call.py` | one call of the application, in a thread |
| `workers.py` | threads, and the calls that wait for one |
| `handler.py` | the handler |

What a thread and the reactor have in common is in `input.py`, `output.py` and `workers.py`, each
under a lock of its own, and a thread waits nowhere else. All other state belongs to one of the two.
"""

from mynet.handlers.wsgi.call import Application
from mynet.handlers.wsgi.handler import WSGIHandler
from mynet.handlers.wsgi.rules import WSGIError

__all__ = ["Application", "WSGIError", "WSGIHandler"]
