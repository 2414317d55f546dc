"""From facts to decisions, each with its reason; no images, no torch."""
