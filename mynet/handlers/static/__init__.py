"""Files: a folder, or one file, as a Handler.

    from mynet.handlers.static import IMMUTABLE, StaticFiles

    app.mount("/static", StaticFiles("public", cache_control={"assets/*": IMMUTABLE}))

GET and HEAD, with all that RFC 9110 has for them: validators and preconditions, ranges, and
compressed forms that lie beside a file. What is outside of the folder is never sent, nor what is
no regular file, nor names with a dot in front unless that is asked for.

Small files are kept in memory. A file that is replaced is sent anew at once; what is beside it (a
new index, a new compressed form) is noticed after a second. To replace a file, write it elsewhere
and rename it, as for any server: who overwrites one that is being sent sends some of both.
"""

from mynet.handlers.static.files import EXTENSIONS, IMMUTABLE, StaticFiles

__all__ = ["EXTENSIONS", "IMMUTABLE", "StaticFiles"]
