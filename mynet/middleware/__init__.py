"""What stands around handlers: one module for each, imported by those who want it.

Each has one function that returns a `Middleware`, for `App.use` or to be called with any handler:

    from mynet.middleware.compression import compression

    app.use(compression())

A handler that answers at once is answered for at once: no middleware here waits where it need not.
"""
