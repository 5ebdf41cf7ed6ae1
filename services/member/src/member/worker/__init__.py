"""Background tasks: payloads, distributor, processor, schedule."""
