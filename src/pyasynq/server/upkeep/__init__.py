"""Keeps queues in order, and shows the server to others."""
