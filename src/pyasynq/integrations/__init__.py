"""Integrations with frameworks; each is imported by itself and needs the extra of its name."""
