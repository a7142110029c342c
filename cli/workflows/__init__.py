"""Use-cases that need both siblings: a round of the loop, and the demonstration."""
