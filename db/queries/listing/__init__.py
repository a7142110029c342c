"""Which images a filter lists, a page at a time."""
