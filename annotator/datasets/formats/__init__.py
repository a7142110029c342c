"""Data sets on disk, one module a layout. Each has `read(path) -> Listing` and nothing that touches the registry."""
