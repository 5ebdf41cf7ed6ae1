"""The tutorial's commands print the shown output, and its excerpts are in the files."""

import re
import sys
from pathlib import Path
from textwrap import indent

import pytest

from services.member.tests.shell_page import ShellBlock, run_shell_page, shell_blocks
from tests.support.servers import free_port

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/tutorial/verify-email.md").read_text()
EXCERPTS = re.findall(r"excerpt of (\S+?)\"? -->\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
READERS_PORTS = ("6379", "9090", "8080", "8025")


def occurrences(excerpt: str, source: str) -> list[str]:
    """Return the indents at which *excerpt* occurs in *source*, on whole lines."""
    indents = [" " * depth for depth in (0, 4, 8, 12)]
    return [by for by in indents if f"\n{indent(excerpt, by)}" in f"\n{source}"]


def test_every_excerpt_is_checked() -> None:
    assert len(EXCERPTS) == PAGE.count("excerpt of ") > 0


@pytest.mark.parametrize(("file", "excerpt"), EXCERPTS)
def test_an_excerpt_stands_in_its_file(file: str, excerpt: str) -> None:
    assert occurrences(excerpt, (ROOT / file).read_text()) != []


# A busy machine takes longer than the ten seconds of the page to look at a task that waits.
async def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    ports = {port: str(free_port()) for port in READERS_PORTS}
    (tmp_path / "services").symlink_to(ROOT / "services")
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYASYNQ_URI": f"127.0.0.1:{ports['6379']}",
        "REDIS_ADDRESS": f"127.0.0.1:{ports['6379']}",
        "GRPC_SERVER_ADDRESS": f"127.0.0.1:{ports['9090']}",
        "HTTP_SERVER_ADDRESS": f"127.0.0.1:{ports['8080']}",
        "VERIFY_EMAIL_DELAY": "20s",
    }
    page = PAGE.replace("delay=0:00:10", "delay=0:00:20")
    await run_shell_page(page, tmp_path, ports=ports, variables=variables)
    assert not (tmp_path / "try").exists()


def test_ports_are_replaced_in_commands_and_in_what_is_shown() -> None:
    page = "```sh\nlisten 6379\n```\n\n```text\non 6379, not 16379\n```\n"
    [block] = shell_blocks(page, {"6379": "1"})
    assert (block.commands, block.shown) == ("listen 1\n", "on 1, not 16379\n")


async def test_a_block_that_prints_something_else_names_its_line(tmp_path: Path) -> None:
    page = "# A page\n\n```sh\necho one\n```\n\n```text\nt…\n```\n"
    with pytest.raises(AssertionError, match=r"line 3 printed, with status 0:\none"):
        await run_shell_page(page, tmp_path, ports={}, variables={})


async def test_a_block_that_fails_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="line 1 ended with status 1"):
        await run_shell_page("```sh\nfalse\n```\n", tmp_path, ports={}, variables={})


def test_dots_stand_for_anything_within_a_line() -> None:
    block = ShellBlock(line=1, commands="", shown="a … c\n")
    block.check("a b b c  \n", 0)
    with pytest.raises(AssertionError):
        block.check("a b\nc\n", 0)
