"""A local page that shows the registry in a browser: it reads, and never writes."""
