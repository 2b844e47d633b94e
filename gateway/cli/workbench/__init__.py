"""`sense311 rules`: the workbench of those who write rules.

One file for each thing that is done to a rule. All of it works on files and recordings, offline;
only `reload` speaks to a running gateway.
"""

import typer

from gateway.cli.workbench import (
    authoring,
    bundle,
    check,
    comparing,
    explaining,
    history,
    promotion,
    testing,
    tuning,
)

app = typer.Typer(help="Write, check, test, explain and backtest rules.", no_args_is_help=True)
explaining.add_to(app)
check.add_to(app)
history.add_to(app)
comparing.add_to(app)
tuning.add_to(app)
bundle.add_to(app)
promotion.add_to(app)
authoring.add_to(app)
testing.add_to(app)
