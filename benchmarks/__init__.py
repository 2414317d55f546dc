"""What Semeion is measured by: `python -m benchmarks [ROW ...]`, or `make bench ROW=...`."""
