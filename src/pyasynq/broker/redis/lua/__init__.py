"""The Lua scripts, a folder for each port; what they share is in ``shared``."""
