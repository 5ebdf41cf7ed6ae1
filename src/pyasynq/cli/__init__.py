"""The command line, made with click: `commands` has one module for each noun.

Data goes to stdout, messages to stderr.
"""

from pyasynq.cli.main import main

__all__ = ["main"]
