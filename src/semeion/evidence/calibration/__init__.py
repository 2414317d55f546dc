"""How far probabilities can be taken at their word, and the maps that mend them."""
