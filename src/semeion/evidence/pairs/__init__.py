"""Two models' predictions of the same cases, paired case by case."""
