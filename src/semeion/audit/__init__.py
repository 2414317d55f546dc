"""What could void a result, looked for by name."""
