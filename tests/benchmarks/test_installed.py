"""What a contender needs of this machine."""

import asyncio
import sys
from dataclasses import replace

import pytest

from benchmarks.installed import NotInstalledError, prepare
from benchmarks.roster import ARDIQ


def test_a_contender_for_a_later_python_says_which_one() -> None:
    major, minor = sys.version_info[:2]
    later = replace(ARDIQ, least_python=(major, minor + 1))
    with pytest.raises(NotInstalledError, match=rf"PYTHON=python{major}\.{minor + 1}\b"):
        asyncio.run(prepare(later, uvloop=False))
