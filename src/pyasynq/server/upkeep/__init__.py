"""Actors that maintain queues, leases and the record of the server."""
