"""The check of plain words, which `make lint` runs over all texts."""

from pathlib import Path

import pytest

from tools.words import complaints, texts


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Whoever waits is told.", ["'Whoever'", "'is told'"]),
        ("It ends. Who reads it looks again.", ["'. Who'"]),
        ("Let go of the key for ever.", ["'Let go'", "'for ever'"]),
        ("Release the key. Who holds it?", []),
        ("Return None if the key does not exist, and is None.", []),
    ],
)
def test_a_listed_word_is_named(line: str, words: list[str]) -> None:
    assert [complaint.partition(":")[0] for complaint in complaints(line)] == words


def test_of_code_comments_and_strings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""One."""\n\nwhoever = "two"  # three\n')
    assert list(texts(file)) == [(1, "One."), (3, "two"), (3, "three")]


def test_of_tests_strings_are_data(tmp_path: Path) -> None:
    file = tmp_path / "tests" / "module.py"
    file.parent.mkdir()
    file.write_text('"""One."""\n\ntext = "two"\n')
    assert [line for _, line in texts(file)] == ["One."]


def test_of_lua_comments_are_read(tmp_path: Path) -> None:
    file = tmp_path / "script.lua"
    file.write_text("-- One.\nlocal two = 2 -- three\n")
    assert list(texts(file)) == [(1, "One."), (2, "three")]
