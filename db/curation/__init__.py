"""Looking after a set: splits, near-duplicates, leakage between splits, groups, and what doctor finds."""
