"""Takes tasks, runs their handlers and writes the outcomes."""
