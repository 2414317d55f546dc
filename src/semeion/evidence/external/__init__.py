"""A finished model on other patients than its own: what changed, and what would mend it."""
