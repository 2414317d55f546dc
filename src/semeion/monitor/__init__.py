"""A model in service is watched: what comes in, against what the model was trained on."""
