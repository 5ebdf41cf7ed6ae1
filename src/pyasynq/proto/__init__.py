"""Code generated from ``asynq.proto``; make it anew with ``make proto``."""
