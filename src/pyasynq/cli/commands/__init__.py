"""The commands: one module for each noun.

Every module is imported for any command line, so imports that take long (the driver, rich, the
Prometheus client) stand in the functions that need them.
"""
