"""The commands: one module for each noun.

Every call of the program imports all of them, so functions import what takes long to load (the
driver, rich, the Prometheus client) when they need it.
"""
