"""Where an app's Redis is: in its code, else in ``PYASYNQ_URI``, else on this machine."""

import os
from dataclasses import dataclass
from typing import Final

from pyasynq.broker import BrokerAddress, check_address, redact_url
from pyasynq.core.errors import OptionError

VARIABLE: Final = "PYASYNQ_URI"
FROM_VARIABLE: Final = f"named by {VARIABLE}"
HERE: Final = "redis://127.0.0.1:6379"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an app's Redis is, and who says so.

    Attributes:
        broker: A URL, a bare ``host:port``, or a redis-py asyncio client.
        source: Who says so, in words.
    """

    broker: BrokerAddress
    source: str

    def checked(self) -> BrokerAddress:
        """Return the broker.

        Raises:
            OptionError: If it is in no form that there is; one from the variable names that.
        """
        try:
            check_address(self.broker)
        except OptionError as error:
            if self.source == FROM_VARIABLE:
                raise OptionError(VARIABLE, error.value, error.allowed) from None
            raise
        return self.broker

    def __str__(self) -> str:
        """Show both, without the passwords."""
        return f"{redact_url(self.broker)} ({self.source})"


def address_of(given: "BrokerAddress | None") -> Address:
    """Return where the Redis of an app is that was *given* an address, or none."""
    if given is not None:
        return Address(broker=given, source="named by the app")
    if uri := os.environ.get(VARIABLE):
        return Address(broker=uri, source=FROM_VARIABLE)
    return Address(broker=HERE, source=f"as neither the app nor {VARIABLE} names one")
