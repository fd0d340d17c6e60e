"""Tests of mynet: one file for each of its modules, and a few for the whole.

They test whichever mynet is installed: this folder's parent is not on `sys.path`.
"""
