"""What the command and long runs are made of: checkpoints, settings, run folders, what can be typed."""
