"""From an image as it was read to a network's input: the same code in training and in use."""
