"""The Lua scripts, with a folder for each port; shared code is in ``shared``."""
