"""The loop replayed on a set whose locations are all known: which query strategy pays, and what it costs."""
