"""Names share turns fairly, however many turns one name asks for."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from member.errors import LimitedError
from member.turns import Turns


class Crowd:
    """Names that ask for turns, and get them one at a time.

    Attributes:
        served: Names that got a turn, in order.
        refused: Names that were refused.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
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
        """Give back this number of turns, one after the other."""
        for _ in range(times):
            self._turns.give_back()
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """Cancel all waiting calls."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self, name: str) -> None:
        try:
            await self._turns.take(name)
        except LimitedError:
            self.refused.append(name)
        else:
            self.served.append(name)


@pytest.fixture
def turns() -> Turns:
    return Turns(1, 24)


@pytest.fixture
async def crowd(turns: Turns) -> AsyncGenerator[Crowd]:
    found = Crowd(turns)
    yield found
    await found.leave()


DOZEN = [f"greedy{n}" for n in range(12)]


async def test_a_dozen_that_ask_for_all_do_not_keep_out_the_next(crowd: Crowd) -> None:
    await crowd.ask(*DOZEN * 10)
    await crowd.ask("honest")
    assert "honest" not in crowd.refused
    await crowd.give_back(len(DOZEN) + 1)
    assert "honest" in crowd.served


async def test_the_name_with_most_places_gives_up_its_last_one(crowd: Crowd, turns: Turns) -> None:
    await crowd.ask(*["greedy"] * 25)
    await crowd.ask("honest")
    assert (crowd.refused, turns.waiting) == (["greedy"], 24)


async def test_names_take_turns(crowd: Crowd) -> None:
    await crowd.ask(*"aaaabb", "c")
    await crowd.give_back(6)
    assert "".join(crowd.served) == "aabcaba"


async def test_if_all_have_the_same_number_of_places_the_last_caller_is_refused(
    crowd: Crowd,
) -> None:
    await crowd.ask(*(str(n) for n in range(26)))
    assert crowd.refused == ["25"]


async def test_who_leaves_makes_room(crowd: Crowd, turns: Turns) -> None:
    (*_, last) = await crowd.ask("a", "a", "b")
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    assert turns.waiting == 1
    await crowd.give_back(1)
    assert crowd.served == ["a", "a"]


@pytest.mark.parametrize("order", ["cancel first", "turn first"])
async def test_a_turn_for_a_caller_that_left_goes_to_the_next(
    crowd: Crowd, turns: Turns, order: str
) -> None:
    (_, leaver, _) = await crowd.ask("a", "b", "c")
    steps = [leaver.cancel, turns.give_back]
    for step in steps if order == "cancel first" else reversed(steps):
        step()
    await asyncio.gather(leaver, return_exceptions=True)
    await asyncio.sleep(0)
    assert crowd.served == ["a", "c"]


async def test_a_refused_caller_that_leaves_gives_no_turn_back(crowd: Crowd, turns: Turns) -> None:
    (*_, last) = await crowd.ask(*["greedy"] * 25)
    honest = asyncio.create_task(turns.take("honest"))
    await asyncio.sleep(0)  # it took the place of the last caller, which does not know it yet
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    await asyncio.sleep(0)
    assert crowd.served == ["greedy"]
    honest.cancel()


async def test_turns_that_nobody_waits_for_are_kept(crowd: Crowd) -> None:
    await crowd.ask("a")
    await crowd.give_back(1)
    await crowd.ask("b", "c")
    assert crowd.served == ["a", "b"]
