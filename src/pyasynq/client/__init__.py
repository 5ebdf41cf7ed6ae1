"""Put tasks into queues."""

from pyasynq.client.client import MAX_PAYLOAD, Client
from pyasynq.client.middleware import CallNext, Chain, ClientMiddleware
from pyasynq.client.sync import SyncClient

__all__ = ["MAX_PAYLOAD", "CallNext", "Chain", "Client", "ClientMiddleware", "SyncClient"]
