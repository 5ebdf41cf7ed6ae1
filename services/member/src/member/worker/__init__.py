"""Background tasks: what is queued, who queues it, who does it."""
