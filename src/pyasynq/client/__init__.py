"""Put tasks into queues."""

from pyasynq.client.client import MAX_PAYLOAD, Client
from pyasynq.client.flow import Flow, Members, Step
from pyasynq.client.flow_options import FlowOptions
from pyasynq.client.middleware import CallNext, ClientMiddleware, MiddlewareChain
from pyasynq.client.sync import SyncClient

__all__ = [
    "MAX_PAYLOAD",
    "CallNext",
    "Client",
    "ClientMiddleware",
    "Flow",
    "FlowOptions",
    "Members",
    "MiddlewareChain",
    "Step",
    "SyncClient",
]
