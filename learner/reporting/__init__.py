"""Pages and pictures about a run."""
