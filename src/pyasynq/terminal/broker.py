"""Is Redis, or the file of SQLite, all right? What is wrong with it, and what it reports."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from rich.text import Text

from pyasynq.broker import NodeReport, SlowLog
from pyasynq.core.info import QueuePlace
from pyasynq.diagnosis.checks import Check
from pyasynq.operations.broker_report import Kind, facts_of, read_broker
from pyasynq.terminal import texts
from pyasynq.terminal.text_page import TextPage

MARKS: Final = {
    "problem": ("✕ problem", "bold red"),
    "warning": ("! warning", "bold yellow"),
    "unknown": ("? unknown", "dim"),
    "ok": ("✓ fine", "green"),
}
"""How each status looks, the worst first."""


FORMS: Final[Mapping[Kind, Callable[[str], str]]] = {
    "text": str,
    "number": lambda value: f"{int(value):,}",
    "bytes": lambda value: f"{texts.count(int(value))}B",
    "limit": lambda value: f"{texts.count(int(value))}B" if int(value) else "none",
    "seconds": lambda value: texts.span(timedelta(seconds=int(value))),
    "switch": lambda value: "on" if int(value) else "off",
}
"""How the values of facts look."""


class BrokerPage(TextPage):
    """Checks, the report of each server of the broker, its slow commands, places of queues."""

    TAB: ClassVar[str] = "r"

    async def load(self) -> None:
        """Read what the broker reports."""
        services = self.desk.services
        report = await read_broker(services.broker)
        parts = [_checks(report.checks)]
        parts += [_node(node, node.address or services.url) for node in report.nodes]
        parts += [_slow_log(log) for log in report.slow_logs]
        if not report.slow_logs:
            parts.append(Text(f"{report.name} keeps no list of slow statements.", "dim"))
        if report.places:
            parts.append(_places(report.places))
        self.put(self.TEXT, Text("\n\n").join(parts))


def _checks(checks: Sequence[Check]) -> Text:
    """Return the checks, the worst first."""
    text = Text.assemble(("Checks", "bold underline"), ("  as pyasynq doctor makes them", "dim"))
    order = list(MARKS)
    for check in sorted(checks, key=lambda it: order.index(it.status)):
        mark, style = MARKS[check.status]
        text.append(f"\n{mark:<10} ", style).append(f"{check.check:<13} ", "bold")
        text.append(texts.safe(check.message))
        if check.advice:
            text.append(f"\n    → {texts.safe(check.advice)}", "dim")
    return text


def _node(node: NodeReport, name: str) -> Text:
    """Return what a server reports about itself."""
    text = Text.assemble((texts.safe(name), "bold underline"))
    text.append(f"  answers in {texts.span(timedelta(seconds=node.round_trip_s))}", "dim")
    if node.info is None:
        return text.append("\nit does not permit reading more", "dim")
    for fact in facts_of(node):
        text.append(f"\n{fact.name:<28}  ", "dim")
        text.append(texts.safe(FORMS[fact.kind](fact.value)))
    return text


def _slow_log(log: SlowLog) -> Text:
    """Return the commands that took a server long."""
    where = f" of {texts.safe(log.address)}" if log.address else ""
    text = Text.assemble((f"Slow commands{where}", "bold underline"))
    if log.limit is not None:
        is_kept = log.limit >= timedelta(0)
        text.append(f"  from {texts.span(log.limit)} on" if is_kept else "  none is kept", "dim")
    if log.commands is None:
        return text.append(
            "\nit does not permit reading them; managed services often do not", "dim"
        )
    if not log.commands:
        text.append("\nno command is listed", "dim")
    for command in log.commands:
        text.append(f"\n{texts.instant(command.at)}  ", "dim")
        text.append(f"{texts.span(command.duration):>7}  ", "bold")
        text.append(f"{texts.safe(command.command):<24}  {texts.safe(command.key)}")
        text.append(f"  {texts.safe(command.client)}", "dim")
    return text


def _places(places: Sequence[QueuePlace]) -> Text:
    """Return the slot and the nodes of each queue."""
    text = Text.assemble(("Queues of the cluster", "bold underline"))
    text.append("  slot, primary, replicas", "dim")
    for place in places:
        nodes = "  ".join(node.address for node in place.nodes) or "no node"
        text.append(f"\n{texts.safe(place.queue):<28}  ", "dim")
        text.append(f"{place.slot:>5}  {texts.safe(nodes)}")
    return text
