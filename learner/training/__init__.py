"""The one training loop, its stages as data, losses, state and resuming."""
