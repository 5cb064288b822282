"""Trains the project's own small RTM models by distillation; `pose_utils` never imports it."""
