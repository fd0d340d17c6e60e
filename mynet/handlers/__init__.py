"""Handlers that host what others have written: applications of every interface, files, proxies.

Nothing is imported here, so that a program pays only for what it uses.
"""
