"""Label Studio to registry: list what changed, interpret it, store it."""
