"""The library's own loggers."""

import logging


def enable_loggers() -> None:
    """Let the library's loggers speak again.

    `logging.config` switches off every logger that it finds and a configuration does not name,
    unless told otherwise, so an app that configures logging would silence its worker. Levels and
    handlers stay as they are: a level is how to silence a logger for good.
    """
    for name, logger in [*logging.root.manager.loggerDict.items()]:
        if name.partition(".")[0] == "pyasynq" and isinstance(logger, logging.Logger):
            logger.disabled = False
