"""Check the broker, queues and workers for problems."""
