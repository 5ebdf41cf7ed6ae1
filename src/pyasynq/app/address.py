"""The broker of an app: given in its code, or by ``PYASYNQ_URI``, or else on this machine."""

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
    """The broker of an app, and where its address comes from.

    Attributes:
        broker: A URL, a bare ``host:port``, or a redis-py asyncio client.
        source: Where the address comes from, in words.
    """

    broker: BrokerAddress
    source: str

    def check_broker(self) -> BrokerAddress:
        """Check the broker, and return it.

        Raises:
            OptionError: If its form is unknown; the error names the variable if the address is from
                there.
        """
        try:
            check_address(self.broker)
        except OptionError as error:
            if self.source == FROM_VARIABLE:
                raise OptionError(VARIABLE, error.value, error.allowed) from None
            raise
        return self.broker

    def __str__(self) -> str:
        """Return address and source, without passwords."""
        return f"{redact_url(self.broker)} ({self.source})"


def address_of(given: "BrokerAddress | None") -> Address:
    """Return the address of an app's broker; *given* is the one in its code, or None."""
    if given is not None:
        return Address(broker=given, source="named by the app")
    if uri := os.environ.get(VARIABLE):
        return Address(broker=uri, source=FROM_VARIABLE)
    return Address(broker=HERE, source=f"as neither the app nor {VARIABLE} names one")
