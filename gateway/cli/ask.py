"""Commands that look at what was decided and filed: `incidents`, `requests`.

They open the gateway's database beside it, for reading; `requests retry` is the one that writes.
"""

from typing import Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, table, told_plainly
from gateway.cli.service import ConfigFile

incidents = typer.Typer(help="Fault episodes and what became of them.", no_args_is_help=True)
requests = typer.Typer(help="Requests to the city and how they stand.", no_args_is_help=True)

_INCIDENT_COLUMNS = ("id", "rule", "subject", "episode", "state", "fired_at", "cleared_at", "why")
_REQUEST_COLUMNS = (
    "reference", "incident", "service", "state", "request_id", "city_status", "attempts", "reason",
)  # fmt: skip


@incidents.command("ls")
def list_incidents(
    config: ConfigFile,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    json: Json = False,
) -> None:
    """The open incidents."""
    from gateway.ledger import incidents_of

    with told_plainly(as_json=json):
        rows = incidents_of(_database(config), ended=all_)
    answer({"incidents": rows}, table(rows, _INCIDENT_COLUMNS), as_json=json)


@incidents.command("show")
def show_incident(config: ConfigFile, number: int, *, json: Json = False) -> None:
    """One incident: every step and its reason, and its request."""
    from gateway.ledger import incident_story

    with told_plainly(as_json=json):
        story = incident_story(_database(config), number)
    if story is None:
        fail(f"no incident {number}", Code.FINDINGS, as_json=json)
    lines = [f"{key}: {value}" for key, value in story.items() if key != "journal"]
    answer(story, [*lines, *table(story["journal"], ("at", "before", "after", "cause"))],
           as_json=json)  # fmt: skip


@requests.command("ls")
def list_requests(config: ConfigFile, *, json: Json = False) -> None:
    """All requests, oldest first."""
    from gateway.ledger import requests_of

    with told_plainly(as_json=json):
        rows = requests_of(_database(config))
    answer({"requests": rows}, table(rows, _REQUEST_COLUMNS), as_json=json)


@requests.command("show")
def show_request(config: ConfigFile, reference: str, *, json: Json = False) -> None:
    """One request: what was asked, and every step of its delivery."""
    from gateway.ledger import request_story

    with told_plainly(as_json=json):
        story = request_story(_database(config), reference)
    if story is None:
        fail(f"no request {reference}", Code.FINDINGS, as_json=json)
    lines = [f"{key}: {value}" for key, value in story.items() if key != "deliveries"]
    answer(story, [*lines, *table(story["deliveries"], ("at", "before", "event", "after"))],
           as_json=json)  # fmt: skip


@requests.command("retry")
def retry_request(config: ConfigFile, reference: str, *, json: Json = False) -> None:
    """Try a refused or held request again, after what was wrong has been mended."""
    from gateway.clock import SystemClock
    from gateway.ledger import retry

    with told_plainly(as_json=json):
        state = retry(_database(config), reference, SystemClock().now_ms())
    if state is None:
        fail(f"{reference} is not refused or held", Code.FINDINGS, as_json=json)
    answer({"reference": reference, "state": state}, [f"{reference}: {state}"], as_json=json)


def _database(config: Any) -> Any:
    from gateway.config import read_config

    return read_config(config)[0].store.folder / "sense311.db"
