"""Members of the ensemble: how each kind is learned, what it says, who is next, and how they are combined."""
