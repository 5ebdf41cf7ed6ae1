"""Measure pyasynq against other task queues: ``make bench``."""
