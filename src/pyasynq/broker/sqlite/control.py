"""What operators want of servers."""

from collections.abc import Mapping, Sequence
from typing import Final

from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.wake import CONTROL_TOPIC
from pyasynq.core.wanted_state import CHECKS, Setting

ALL: Final = "SELECT target, name, value, at, for_server FROM pyasynq_control"


class SqliteControl:
    """The port for the control of servers."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def write(self, target: str, values: Mapping[str, str], *, for_server: bool) -> None:
        """Keep *values*, JSON by setting, for *target*, then notify all servers."""

        def write(tx: Transaction) -> None:
            # Later than all others, even if the clock was set back: the newest holds.
            ((last,),) = tx.rows("SELECT coalesce(max(at), 0) FROM pyasynq_control")
            at = max(tx.now_us, last + 1)
            rows = [(target, name, value, at, for_server) for name, value in values.items()]
            tx.executemany("INSERT OR REPLACE INTO pyasynq_control VALUES (?, ?, ?, ?, ?)", rows)
            tx.changed.add(CONTROL_TOPIC)

        await self._store.write(write)

    async def read(self, targets: Sequence[str] | None = None) -> list[Setting]:
        """Return the settings of *targets*, in their order; None for all targets."""

        def read(tx: Transaction) -> list[Setting]:
            if targets is None:
                rows = tx.rows(f"{ALL} ORDER BY target, name")
            else:
                rows = [
                    row for target in targets for row in tx.rows(f"{ALL} WHERE target = ?", target)
                ]
            return [_setting(*row) for row in rows if row[1] in CHECKS]

        return await self._store.read(read)

    async def clear(self, target: str) -> None:
        """Forget all settings of *target*, then notify all servers."""

        def clear(tx: Transaction) -> None:
            tx.execute("DELETE FROM pyasynq_control WHERE target = ?", (target,))
            tx.changed.add(CONTROL_TOPIC)

        await self._store.write(clear)


def _setting(target: str, name: str, value: str, at: int, for_server: int) -> Setting:
    return Setting(target=target, name=name, value=value, at_us=at, for_server=bool(for_server))
