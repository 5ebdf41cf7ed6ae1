"""Open the flow that a task holds."""

from datetime import timedelta
from typing import Final

import msgspec

from pyasynq.client.flow import Flow
from pyasynq.client.flow_template import FLOW_TYPE, FlowTemplate, decode_template
from pyasynq.core.control import PayloadError

LEAST_KEPT: Final = timedelta(hours=1)
"""Time for which the record of a flow is kept at least after it has ended.

The worker that has opened it may have died before it could end its task; the record keeps the next
one from opening the flow again.
"""


def flow_in(payload: bytes, flow_id: str) -> Flow:
    """Return the flow in the *payload* of a task that `Flow.task` or `Flow.add` has made.

    Args:
        payload: The payload.
        flow_id: The id that the flow gets.

    Raises:
        PayloadError: If it holds no flow that this version knows.
        OptionError: If something of it is not allowed.
    """
    try:
        template = decode_template(payload)
    except msgspec.DecodeError as error:
        raise PayloadError(FLOW_TYPE, str(error)) from error
    flow = Flow(
        template.name,
        queue=template.queue,
        id=flow_id,
        unique_for=_span(template.unique_s),
        timeout=_span(template.timeout_s),
        keep=max(timedelta(seconds=template.keep_s), LEAST_KEPT),
        keep_failed=max(timedelta(seconds=template.keep_failed_s), LEAST_KEPT),
    )
    _add_steps(flow, template)
    return flow


def _add_steps(flow: Flow, template: FlowTemplate) -> None:
    names = [step.name for step in template.steps]
    for step in template.steps:
        after = [flow.all[number] for number in step.after]
        if step.task is not None:
            flow.add(step.task.task(flow, names), after=after, when=step.when, name=step.name)
        elif step.members is not None:
            tasks = [member.task(flow, names) for member in step.members]
            flow.map(tasks, after=after, when=step.when, name=step.name)
        else:
            flow.gate(step.name, after=after, timeout=_span(step.timeout_s))


def _span(seconds: int) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
