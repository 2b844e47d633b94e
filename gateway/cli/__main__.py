"""`python -m gateway.cli`: the command where no script is installed.

The demo starts its parts this way.
"""

from gateway.cli import main

main()
