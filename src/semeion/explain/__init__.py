"""Why a finding: where the networks looked, what pushed it, and whether either can be trusted. No torch."""
