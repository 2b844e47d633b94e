"""`sense311 rules`: the workbench of those who write rules.

One file for each thing that is done to a rule. All of it works on files and recordings, offline;
only `reload` speaks to a running gateway.
"""

import typer

app = typer.Typer(help="Write, check, test, explain and backtest rules.", no_args_is_help=True)
