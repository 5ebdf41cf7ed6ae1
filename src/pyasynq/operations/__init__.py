"""What operators see and do, whether in a browser or at a terminal."""
