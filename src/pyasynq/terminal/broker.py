"""Is Redis, or the file of SQLite, all right? What is wrong with it, and what it reports."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from rich.text import Text

from pyasynq.broker import NodeReport
from pyasynq.diagnosis.checks import Check
from pyasynq.diagnosis.diagnosis import diagnose
from pyasynq.diagnosis.reading import read_findings
from pyasynq.terminal import texts
from pyasynq.terminal.text_page import TextPage

MARKS: Final = {
    "problem": ("✕ problem", "bold red"),
    "warning": ("! warning", "bold yellow"),
    "unknown": ("? unknown", "dim"),
    "ok": ("✓ fine", "green"),
}
"""How each status looks, the worst first."""


def _size(text: str) -> str:
    return f"{texts.count(int(text))}B" if text.isdecimal() else text


def _span(text: str) -> str:
    return texts.span(timedelta(seconds=int(text))) if text.isdecimal() else text


def _number(text: str) -> str:
    return f"{int(text):,}" if text.isdecimal() else text


FACTS: Final[Mapping[str, Callable[[str], str]]] = {
    "redis_version": str,
    "valkey_version": str,
    "version": str,
    "redis_mode": str,
    "role": str,
    "path": str,
    "uptime_in_seconds": _span,
    "connected_clients": _number,
    "blocked_clients": _number,
    "used_memory": _size,
    "used_memory_peak": _size,
    "maxmemory": _size,
    "maxmemory_policy": str,
    "mem_fragmentation_ratio": str,
    "instantaneous_ops_per_sec": _number,
    "total_commands_processed": _number,
    "evicted_keys": _number,
    "expired_keys": _number,
    "rejected_connections": _number,
    "aof_enabled": str,
    "rdb_last_bgsave_status": str,
    "rdb_changes_since_last_save": _number,
    "connected_slaves": _number,
    "size": _size,
    "file_bytes": _size,
    "wal_bytes": _size,
    "free_bytes": _size,
    "cluster_state": str,
    "cluster_size": str,
}
"""What is shown of the report of a server, in this order, and how."""


class BrokerPage(TextPage):
    """The checks of ``pyasynq doctor``, and the report of each server of the broker."""

    TAB: ClassVar[str] = "r"

    async def load(self) -> None:
        """Read what the broker reports."""
        services = self.desk.services
        findings = await read_findings(services.broker, permissions=False)
        text = _checks(diagnose(findings))
        for node in findings.nodes:
            text.append("\n\n").append_text(_node(node, node.address or services.url))
        self.put(self.TEXT, text)


def _checks(checks: Sequence[Check]) -> Text:
    """Return the checks, the worst first."""
    text = Text.assemble(("Checks", "bold underline"), ("  as pyasynq doctor makes them", "dim"))
    order = list(MARKS)
    for check in sorted(checks, key=lambda it: order.index(it.status)):
        mark, style = MARKS[check.status]
        text.append(f"\n{mark:<10} ", style).append(f"{check.check:<13} ", "bold")
        text.append(texts.safe(check.message))
        if check.advice:
            text.append(f"\n{'':<25}→ {texts.safe(check.advice)}", "dim")
    return text


def _node(node: NodeReport, name: str) -> Text:
    """Return what a server reports about itself."""
    text = Text.assemble((texts.safe(name), "bold underline"))
    text.append(f"  answers in {texts.span(timedelta(seconds=node.round_trip_s))}", "dim")
    if node.info is None:
        return text.append("\nit does not permit to read more", "dim")
    for fact, form in FACTS.items():
        if fact in node.info:
            text.append(f"\n{fact:<28}  ", "dim").append(texts.safe(form(node.info[fact])))
    return text
