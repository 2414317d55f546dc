"""Masks and measured values against a reference: overlap, distance, volume, agreement."""
