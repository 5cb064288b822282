"""How a frame becomes people."""
