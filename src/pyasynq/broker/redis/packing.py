"""Write commands as Redis reads them, in C.

Differs:
    The driver's connections for asyncio do it in Python, which takes longer than sending does.
"""

from typing import Any, Final

import hiredis
from redis.asyncio import UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection

_pack: Final[Any] = hiredis.pack_command  # its type allows no more than one argument


class PackingConnection(AbstractConnection):
    """A connection that writes its commands with hiredis."""

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - as the driver has it
        """Return the command *args*; the name may be several words.

        Raises:
            UnicodeEncodeError: If a text has surrogates.
            TypeError: If an argument is neither a text, bytes nor a number.
        """
        name, *others = args
        packed: bytes = _pack((*name.split(), *others))
        return [packed]


class SocketConnection(PackingConnection, UnixDomainSocketConnection):
    """A connection over a Unix socket."""
