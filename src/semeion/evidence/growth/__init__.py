"""How a figure grows with the patients that are learned from, and how many cases an interval would need."""
