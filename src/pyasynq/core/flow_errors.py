"""Errors about flows."""

from pyasynq.core.errors import PyasynqError


class FlowNotFoundError(PyasynqError):
    """There is no such flow in the queue: it has another home, or it is no longer kept.

    Attributes:
        queue: Its home.
        flow_id: Its id.
    """

    def __init__(self, queue: str, flow_id: str) -> None:
        """Name the flow."""
        self.queue = queue
        self.flow_id = flow_id
        super().__init__(
            f"{queue!r} has no flow {flow_id!r}: it is stored with another queue, or ended some "
            "time ago"
        )


class DuplicateFlowError(PyasynqError):
    """Another flow of this name runs, and only one may; nothing was stored.

    Attributes:
        queue: Home of both.
        name: Their name.
        flow_id: Id of the flow that runs.
    """

    def __init__(self, queue: str, name: str, flow_id: str) -> None:
        """Name the flow that runs."""
        self.queue = queue
        self.name = name
        self.flow_id = flow_id
        super().__init__(
            f"flow {name!r} was not enqueued: {flow_id!r} of {queue!r} has this name, and runs"
        )


class StepNotFoundError(PyasynqError):
    """The flow has no such step, or the step is no gate.

    Attributes:
        queue: Home of the flow.
        flow_id: Its id.
        step: Name that was asked for.
        known: Names of the steps that could have been meant.
    """

    def __init__(self, queue: str, flow_id: str, step: str, known: list[str]) -> None:
        """Name the flow, and what it has."""
        self.queue = queue
        self.flow_id = flow_id
        self.step = step
        self.known = known
        has = ", ".join(map(repr, known)) or "none"
        super().__init__(
            f"flow {flow_id!r} of {queue!r} has no step {step!r} for this; it has {has}"
        )


class FlowStateError(PyasynqError):
    """The action is not possible in the state of the flow or step.

    Attributes:
        queue: Home of the flow.
        flow_id: Its id.
        reason: Why it is not possible.
    """

    def __init__(self, queue: str, flow_id: str, reason: str) -> None:
        """Name the flow, and say why not."""
        self.queue = queue
        self.flow_id = flow_id
        self.reason = reason
        super().__init__(f"flow {flow_id!r} of {queue!r}: {reason}")
