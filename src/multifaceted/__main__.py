"""`python -m multifaceted` is the command line."""

from multifaceted.cli import main

main()
