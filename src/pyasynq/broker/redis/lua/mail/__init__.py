"""Deliver the mail of a queue."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

take_mail: Final = Script("mail/take_mail")
delete_mail: Final = Script("mail/delete_mail", repeatable=True)
read_mail: Final = Script("mail/read_mail", repeatable=True)
