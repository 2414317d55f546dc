"""Helpers that tests of several rooms share; ``from support.x import y`` works because ``tests`` is on the path."""
