"""Flows of an app."""

from typing import Unpack

from pyasynq.app.clients import Clients
from pyasynq.client.flow import Flow, FlowOptions
from pyasynq.core.flow_info import FlowInfo


class AppFlow(Flow):
    """A flow that the clients of its app enqueue; see `Flow`."""

    def __init__(self, clients: Clients, name: str, **options: Unpack[FlowOptions]) -> None:
        """Make a flow without steps; see `Flow`.

        Raises:
            OptionError: If an option is not allowed.
        """
        super().__init__(name, **options)
        self._clients = clients

    async def enqueue(self) -> FlowInfo:
        """Enqueue the flow with the app's client; see `Client.enqueue_flow` for its errors."""
        return await self._clients.current().enqueue_flow(self)

    def enqueue_sync(self) -> FlowInfo:
        """Enqueue the flow from code without ``await``; see `TypedTask.enqueue_sync`."""
        return self._clients.enqueue_flow_sync(self)
