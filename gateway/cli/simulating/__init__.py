"""`sense311 sim`: stand-ins for a city: simulate, record, import, judge.

One file for each thing that is done with a scenario or a recording.
"""

import typer

from gateway.cli.simulating import importing, load, recording, running, scenarios, scoring

app = typer.Typer(help="Stand-ins for a city: simulate, import, judge.", no_args_is_help=True)
scenarios.add_to(app)
running.add_to(app)
importing.add_to(app)
recording.add_to(app)
scoring.add_to(app)
load.add_to(app)
