"""Data sets on disk: reading them into the registry, and writing them out of it."""
