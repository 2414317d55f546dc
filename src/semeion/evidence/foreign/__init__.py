"""Other tools' tables of predictions, read as the canonical one or refused."""
