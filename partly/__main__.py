"""`python -m partly` is the command line."""

from cli.main import main

main()
