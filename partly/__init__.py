"""The public face of partly: doors to the use-cases, for notebooks and scripts."""
