"""Hash passwords with argon2id, a few at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from member.fair_slots import FairSlots
from member.limits.keys import address_key

Answer = TypeVar("Answer")

# Per thread. More hashes would wait longer than their callers, and block the way for later ones.
_WAITING = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HashCost:
    """What one hash costs.

    Attributes:
        time: Passes over the memory.
        memory_kib: Memory of one hash, KiB.
        threads: Hashes at once; together they use at most *threads* times the memory.
    """

    time: int
    memory_kib: int
    threads: int


class Passwords:
    """Hashes passwords in a thread pool of fixed size."""

    def __init__(self, cost: HashCost) -> None:
        """Start no thread yet; the caller closes the object."""
        # One lane for each hash: the pool already runs hashes in parallel.
        self._hasher = PasswordHasher(
            time_cost=cost.time, memory_cost=cost.memory_kib, parallelism=1
        )
        self._pool = ThreadPoolExecutor(cost.threads, thread_name_prefix="password")
        self._slots = FairSlots(cost.threads, _WAITING * cost.threads)
        self._decoy = self._hasher.hash("")  # no password is empty

    async def hash(self, password: str, address: str = "") -> str:
        """Return the argon2id hash of *password*, with its parameters and salt.

        Args:
            password: The password that a caller at *address* sent.
            address: IP address of the caller; all addresses share the threads fairly.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        return await self._run_in_thread(address, lambda: self._hasher.hash(password))

    async def fits(self, password: str, password_hash: str | None, address: str = "") -> bool:
        """Tell whether *password*, sent by a caller at *address*, was hashed to *password_hash*.

        None, for a member that does not exist, takes the same time and never fits.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        compared = password_hash or self._decoy
        fits = await self._run_in_thread(
            address, lambda: _matches(self._hasher, compared, password)
        )
        return fits and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether *password_hash* was made at another cost than today's setting."""
        return self._hasher.check_needs_rehash(password_hash)

    @property
    def waiting(self) -> int:
        """How many hashes wait for a thread."""
        return self._slots.waiting

    def close(self) -> None:
        """Drop hashes that wait for a thread; running ones end by themselves in a moment."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run_in_thread(self, address: str, work: Callable[[], Answer]) -> Answer:
        await self._slots.take(address_key(address))
        job = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Also if the caller has left by then: the thread is busy until the hash is done.
        job.add_done_callback(lambda _: self._slots.give_back())
        return await asyncio.shield(job)


def _matches(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
    try:
        # JSON can carry half a surrogate pair: no password has one, and it must not raise.
        return hasher.verify(password_hash, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
