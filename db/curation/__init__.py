"""Data set curation: splits, groups, near-duplicates, leakage between splits, and the checks of `partly doctor`."""
