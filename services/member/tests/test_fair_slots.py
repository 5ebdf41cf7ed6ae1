"""Names share slots fairly, however many slots one name asks for."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from member.errors import LimitedError
from member.fair_slots import FairSlots


class Crowd:
    """Names that ask for slots, and get them one at a time.

    Attributes:
        served: Names that got a slot, in order.
        refused: Names that were refused.
    """

    def __init__(self, slots: FairSlots) -> None:
        self._slots = slots
        self._asking: list[asyncio.Task[None]] = []
        self.served: list[str] = []
        self.refused: list[str] = []

    async def ask(self, *names: str) -> list[asyncio.Task[None]]:
        """Let each of *names* ask once, in this order."""
        asking = [asyncio.create_task(self._ask(name)) for name in names]
        self._asking += asking
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asking

    async def give_back(self, times: int) -> None:
        """Give back this number of slots, one after the other."""
        for _ in range(times):
            self._slots.give_back()
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """Cancel all waiting calls."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self, name: str) -> None:
        try:
            await self._slots.take(name)
        except LimitedError:
            self.refused.append(name)
        else:
            self.served.append(name)


@pytest.fixture
def slots() -> FairSlots:
    return FairSlots(1, 24)


@pytest.fixture
async def crowd(slots: FairSlots) -> AsyncGenerator[Crowd]:
    found = Crowd(slots)
    yield found
    await found.leave()


DOZEN = [f"greedy{n}" for n in range(12)]


async def test_a_dozen_that_ask_for_all_do_not_keep_out_the_next(crowd: Crowd) -> None:
    await crowd.ask(*DOZEN * 10)
    await crowd.ask("honest")
    assert "honest" not in crowd.refused
    await crowd.give_back(len(DOZEN) + 1)
    assert "honest" in crowd.served


async def test_the_name_with_most_places_gives_up_its_last_one(
    crowd: Crowd, slots: FairSlots
) -> None:
    await crowd.ask(*["greedy"] * 25)
    await crowd.ask("honest")
    assert (crowd.refused, slots.waiting) == (["greedy"], 24)


async def test_names_get_slots_in_rotation(crowd: Crowd) -> None:
    await crowd.ask(*"aaaabb", "c")
    await crowd.give_back(6)
    assert "".join(crowd.served) == "aabcaba"


async def test_if_all_have_the_same_number_of_places_the_last_caller_is_refused(
    crowd: Crowd,
) -> None:
    await crowd.ask(*(str(n) for n in range(26)))
    assert crowd.refused == ["25"]


async def test_a_caller_that_leaves_makes_room(crowd: Crowd, slots: FairSlots) -> None:
    (*_, last) = await crowd.ask("a", "a", "b")
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    assert slots.waiting == 1
    await crowd.give_back(1)
    assert crowd.served == ["a", "a"]


@pytest.mark.parametrize("order", ["cancel first", "slot first"])
async def test_a_slot_for_a_caller_that_left_goes_to_the_next(
    crowd: Crowd, slots: FairSlots, order: str
) -> None:
    (_, leaver, _) = await crowd.ask("a", "b", "c")
    steps = [leaver.cancel, slots.give_back]
    for step in steps if order == "cancel first" else reversed(steps):
        step()
    await asyncio.gather(leaver, return_exceptions=True)
    await asyncio.sleep(0)
    assert crowd.served == ["a", "c"]


async def test_a_refused_caller_that_leaves_gives_no_slot_back(
    crowd: Crowd, slots: FairSlots
) -> None:
    (*_, last) = await crowd.ask(*["greedy"] * 25)
    honest = asyncio.create_task(slots.take("honest"))
    await asyncio.sleep(0)  # it took the place of the last caller, which does not know it yet
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    await asyncio.sleep(0)
    assert crowd.served == ["greedy"]
    honest.cancel()


async def test_slots_that_nobody_waits_for_are_kept(crowd: Crowd) -> None:
    await crowd.ask("a")
    await crowd.give_back(1)
    await crowd.ask("b", "c")
    assert crowd.served == ["a", "b"]
