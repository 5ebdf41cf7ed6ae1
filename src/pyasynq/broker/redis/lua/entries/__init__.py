"""Pause and resume entries of schedulers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

pause_entry: Final = Script("entries/pause_entry")
resume_entry: Final = Script("entries/resume_entry")
read_pauses: Final = Script("entries/read_pauses", repeatable=True)
extend_pauses: Final = Script("entries/extend_pauses", repeatable=True)
forget_pause: Final = Script("entries/forget_pause", repeatable=True)
