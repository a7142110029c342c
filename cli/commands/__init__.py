"""The commands, by what they work on. Each parses, calls one use-case and prints; heavy imports stay inside."""
