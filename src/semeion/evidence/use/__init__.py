"""What a model is worth in use: operating points, net benefit, sets, abstaining, other class balances."""
