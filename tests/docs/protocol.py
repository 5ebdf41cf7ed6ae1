"""The page of the protocol, and what can be cited of it."""

import re
from typing import Final

from tests.docs.cited_tests import ROOT

PROTOCOL: Final = (ROOT / "docs/internals/protocol.md").read_text()

SECTIONS: Final = frozenset(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", PROTOCOL, re.MULTILINE))

NUMBERS: Final = frozenset(re.findall(r"^\| (D\d+) \|", PROTOCOL, re.MULTILINE))
"""Of the weaknesses of asynq, in section 12."""
