"""``python -m semeion``."""

from semeion.cli import main

if __name__ == "__main__":
    main()
