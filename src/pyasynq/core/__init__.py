"""What decides: pure, without I/O, time or chance."""
