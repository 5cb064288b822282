"""What the models are and where they come from."""
