"""Tokens that all processes share."""

import math
from collections.abc import Sequence

from pyasynq.broker.ports.semaphores import Token
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS


class SqliteSemaphores:
    """The port for semaphores."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def acquire(self, token: Token, *, limit: int, lease_s: float) -> bool:
        """Take *token* if its holder has it or fewer than *limit* are taken; set its end."""

        def acquire(tx: Transaction) -> int:
            scope = token.scope
            tx.execute(
                "DELETE FROM pyasynq_token WHERE scope = ? AND ends_s < ?", (scope, tx.now_s)
            )
            ((taken, ours),) = tx.rows(
                "SELECT count(*), sum(holder = ?) FROM pyasynq_token WHERE scope = ?",
                token.holder,
                scope,
            )
            if taken >= limit and not ours:
                return 0
            ends_s = _end_s(tx, token, lease_s)
            row = (scope, token.holder, ends_s)
            tx.execute("INSERT OR REPLACE INTO pyasynq_token VALUES (?, ?, ?)", row)
            return ends_s

        ends_s = await self._store.write(acquire)
        token.ends_s = ends_s or token.ends_s
        return ends_s != 0

    async def renew(self, tokens: Sequence[Token], *, lease_s: float) -> list[Token]:
        """Renew *tokens*, all of one scope, in place; return those that are lost."""

        def renew(tx: Transaction) -> list[int]:
            sql = "UPDATE pyasynq_token SET ends_s = ? WHERE scope = ? AND holder = ?"
            ends = [_end_s(tx, token, lease_s) for token in tokens]
            return [
                ends_s if tx.execute(sql, (ends_s, token.scope, token.holder)).rowcount else 0
                for token, ends_s in zip(tokens, ends, strict=True)
            ]

        lost: list[Token] = []
        for token, ends_s in zip(tokens, await self._store.write(renew), strict=True):
            if ends_s:
                token.ends_s = ends_s
            else:
                lost.append(token)
        return lost

    async def release(self, token: Token) -> bool:
        """Release *token*; False if it is no longer held."""

        def release(tx: Transaction) -> bool:
            sql = "DELETE FROM pyasynq_token WHERE scope = ? AND holder = ?"
            return tx.execute(sql, (token.scope, token.holder)).rowcount > 0

        return await self._store.write(release)


def _end_s(tx: Transaction, token: Token, lease_s: float) -> int:
    """Return when the lease ends, or the holder's deadline if that is earlier, Unix seconds."""
    ends_s = math.ceil(tx.now_us / MICROS + lease_s)
    return min(ends_s, token.deadline_s) if token.deadline_s else ends_s
