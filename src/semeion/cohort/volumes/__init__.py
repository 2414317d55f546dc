"""Volumes of research formats, and the one way in for every reference to a volume."""
