"""`python -m gateway.cli`: the command where no script is installed, as the demo starts its parts."""

from gateway.cli import main

main()
