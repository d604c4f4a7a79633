"""Solving: the one loop, checkpoints, validation, settings, the command."""
