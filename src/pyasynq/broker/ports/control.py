"""What operators want of running servers."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pyasynq.core.wanted_state import Setting


class ControlPort(Protocol):
    """Keep what operators want of running servers, until it is cleared."""

    async def write(self, target: str, values: Mapping[str, str], *, for_server: bool) -> None:
        """Keep *values*, JSON by setting, for *target*, then notify all servers; see `Notice`.

        Other settings of *target* stay. The broker's clock tells the time of the new ones.
        """
        ...

    async def read(self, targets: Sequence[str] | None = None) -> list[Setting]:
        """Return the settings of *targets*, in their order; None for all targets.

        A stored setting that cannot be read is left out.
        """
        ...

    async def clear(self, target: str) -> None:
        """Forget all settings of *target*, then notify all servers."""
        ...
