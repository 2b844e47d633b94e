"""Commands that look into the audit log: `audit ls`.

They open the gateway's books beside it, for reading; nothing in the log can be changed.
"""

from typing import Annotated

import typer

from gateway.cli.ask import database_of
from gateway.cli.output import Code, Json, answer, fail, table, told_plainly
from gateway.cli.service import ConfigFile

audit = typer.Typer(help="What people did, through whatever, and why.", no_args_is_help=True)

_COLUMNS = ("id", "at", "who", "role", "via", "deed", "subject", "code", "why", "text")


@audit.callback()
def group() -> None:
    """What people did, through whatever, and why."""


@audit.command("ls")
def list_entries(
    config: ConfigFile,
    *,
    who: Annotated[str, typer.Option(help="Only theirs: ana, token:dispatch.")] = "",
    deed: Annotated[str, typer.Option(help="Only those: approve, hold, silence...")] = "",
    before: Annotated[int, typer.Option(min=0, help="Only those before this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many, the latest.")] = 100,
    json: Json = False,
) -> None:
    """The entries, the last first."""
    from gateway.books.audit import NEWEST, entries_of
    from gateway.staff.deed import Deed

    if deed and deed not in list(Deed):
        fail(f"--deed {deed}: one of {', '.join(Deed)}", Code.USAGE, as_json=json)
    with told_plainly(as_json=json):
        found = entries_of(
            database_of(config), before=before or NEWEST, limit=limit, who=who, deed=deed
        )
    rows = [one.as_dict() for one in found]
    answer({"entries": rows}, table(rows, _COLUMNS), as_json=json)
