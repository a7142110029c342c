"""The command line: the only package that knows typer, rich and the environment. A command calls one use-case."""
