"""Which contenders ``--only`` selects."""

from benchmarks.roster import EMBEDDED, GO, PYASYNQ, TASKITO, select


def names(*only: str) -> list[str]:
    return [contender.name for contender in select(only)]


def test_a_word_selects_all_contenders_that_have_it() -> None:
    assert names("sqlite") == [peer.name for peer in EMBEDDED]
    assert names("taskito") == [TASKITO.name]


def test_a_word_does_not_match_inside_of_another() -> None:
    assert names("asynq") == [GO.name]


def test_a_whole_name_selects_one_contender() -> None:
    assert names("taskiq (list)") == ["taskiq (list)"]


def test_several_words_select_in_the_order_of_the_table() -> None:
    assert names("go", "pyasynq")[:2] == [PYASYNQ.name, GO.name]
