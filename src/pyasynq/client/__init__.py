"""Put tasks into queues."""

from pyasynq.client.client import MAX_PAYLOAD, Client
from pyasynq.client.sync import SyncClient

__all__ = ["MAX_PAYLOAD", "Client", "SyncClient"]
