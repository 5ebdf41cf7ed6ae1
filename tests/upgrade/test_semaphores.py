"""Both versions share the tokens of a semaphore."""

from tests.upgrade.sides import Side


def test_tokens_are_counted_over_both_versions(before: Side, after: Side) -> None:
    assert before.acquire("s", 2)
    assert after.acquire("s", 2)
    assert not before.acquire("s", 2)
    assert not after.acquire("s", 2)


def test_a_token_given_back_is_free_for_the_other_version(before: Side, after: Side) -> None:
    assert before.acquire("s", 1)
    assert not after.acquire("s", 1)
    before.release("s")
    assert after.acquire("s", 1)


def test_each_version_gives_back_its_own_token(before: Side, after: Side) -> None:
    assert before.acquire("s", 2)
    assert after.acquire("s", 2)
    before.release("s")
    assert before.acquire("s", 2)
    assert not before.acquire("s", 2)
    after.release("s")
    assert before.acquire("s", 2)
    assert not after.acquire("s", 2)
