"""Processes for tasks import the program's main module, which must not start the program again."""

import sys


def check_main_is_guarded() -> None:
    """Check that the program does not run because a process for tasks imports it.

    Raises:
        RuntimeError: If it does.
    """
    spawning = sys.modules.get("multiprocessing.process")
    # multiprocessing itself looks at this to tell the same mistake.
    if spawning is not None and getattr(spawning.current_process(), "_inheriting", False):
        msg = (
            "a process for a task imports this program, which must not start again there: "
            'put the line that starts it under `if __name__ == "__main__":`'
        )
        raise RuntimeError(msg)
