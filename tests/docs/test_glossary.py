"""The glossary is in order, and explains words that the library uses."""

import re
from typing import Final

from tests.docs.cited_tests import ROOT

PAGE: Final = (ROOT / "docs/glossary.md").read_text()
TERMS: Final = re.findall(r"^\| \*\*([\w -]+)\*\* \|", PAGE, re.MULTILINE)


def read_library() -> str:
    """Return the text of the library, its words apart from each other as in the glossary."""
    texts = (path.read_text() for path in (ROOT / "src").rglob("*.py"))
    return re.sub(r"[\W_]+", " ", " ".join(texts)).lower()


def test_terms_are_in_order() -> None:
    assert TERMS
    assert sorted(TERMS) == TERMS


def test_the_library_uses_every_term() -> None:
    text = read_library()
    assert [term for term in TERMS if re.sub(r"[\W_]+", " ", term) not in text] == []
