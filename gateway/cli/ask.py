"""Commands that look at what was decided and filed: `incidents`, `requests`.

They open the gateway's database beside it, for reading; those that change something are in `hand`.
"""

from pathlib import Path
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
    from gateway.books.ledger import incidents_of

    with told_plainly(as_json=json):
        rows = incidents_of(database_of(config), ended=all_)
    answer({"incidents": rows}, table(rows, _INCIDENT_COLUMNS), as_json=json)


@incidents.command("show")
def show_incident(config: ConfigFile, number: int, *, json: Json = False) -> None:
    """One incident: every step and its reason, and its request."""
    from gateway.books.ledger import incident_story

    with told_plainly(as_json=json):
        story = incident_story(database_of(config), number)
    if story is None:
        fail(f"no incident {number}", Code.FINDINGS, as_json=json)
    story["evidence"] = _evidence(config, number)
    lines = [
        f"{key}: {value}" for key, value in story.items() if key not in ("journal", "evidence")
    ]
    lines += [f"  {name}: {text}" for name, text in story["evidence"].get("facts", {}).items()]
    answer(story, [*lines, *table(story["journal"], ("at", "before", "after", "cause"))],
           as_json=json)  # fmt: skip


def _evidence(config: Path, number: int) -> dict[str, Any]:
    """Empty where the files do not tell: the story is worth telling without."""
    from gateway.config import read_settings
    from gateway.errors import ConfigError
    from gateway.exhibits.exhibit import evidence_of
    from gateway.plans import prepare

    try:
        found = evidence_of(prepare(read_settings(config)), incident=number)
    except ConfigError:
        return {}
    return found.as_dict() if found is not None else {}


@incidents.command("why")
def why(config: ConfigFile, number: int, *, json: Json = False) -> None:
    """Why it fired: every clause of its rule as it was judged then, with values and margins."""
    from gateway.books.ledger import case_of
    from gateway.cli.workbench.explaining import explained_from_store
    from gateway.workbench.inquiry import Unanswerable

    try:
        with told_plainly(as_json=json):
            found = case_of(database_of(config), number, "")
            if found is None:
                fail(f"no incident {number}", Code.FINDINGS, as_json=json)
            asked = found[0].rule, found[0].subject, found[0].fired_ms
            told = explained_from_store(asked, None, config)
    except Unanswerable as error:
        fail(str(error), Code.FINDINGS, as_json=json)
    answer(told.as_dict(), told.lines(), as_json=json)


@requests.command("ls")
def list_requests(
    config: ConfigFile,
    *,
    state: Annotated[str | None, typer.Option(help="Only those: review, held, filed...")] = None,
    json: Json = False,
) -> None:
    """All requests, oldest first."""
    from gateway.books.ledger import requests_of

    with told_plainly(as_json=json):
        rows = requests_of(database_of(config))
    rows = [row for row in rows if state in (None, row["state"])]
    answer({"requests": rows}, table(rows, _REQUEST_COLUMNS), as_json=json)


@requests.command("export")
def export_requests(
    config: ConfigFile,
    *,
    format_: Annotated[str, typer.Option("--format", help="ngsi-ld or ngsi-v2.")] = "ngsi-ld",
    state: Annotated[str | None, typer.Option(help="Only those: review, held, filed...")] = None,
    json: Json = False,
) -> None:
    """Requests as entities of Smart Data Models, for the city's own platform."""
    from json import dumps

    from gateway.books.ledger import request_story, requests_of
    from gateway.cityhall.entities import Dialect, entity_of

    if format_ not in tuple(Dialect):
        fail(f"--format {format_}: ngsi-ld or ngsi-v2", Code.USAGE, as_json=json)
    with told_plainly(as_json=json):
        database = database_of(config)
        asked = [row for row in requests_of(database) if state in (None, row["state"])]
        stories = [request_story(database, row["reference"]) for row in asked]
    entities = [entity_of(story, Dialect(format_)) for story in stories if story is not None]
    answer({"entities": entities}, [dumps(entities, ensure_ascii=False)], as_json=json)


@requests.command("show")
def show_request(config: ConfigFile, reference: str, *, json: Json = False) -> None:
    """One request: what was asked, and every step of its delivery."""
    from gateway.books.ledger import request_story

    with told_plainly(as_json=json):
        story = request_story(database_of(config), reference)
    if story is None:
        fail(f"no request {reference}", Code.FINDINGS, as_json=json)
    lines = [f"{key}: {value}" for key, value in story.items() if key != "deliveries"]
    answer(story, [*lines, *table(story["deliveries"], ("at", "before", "event", "after"))],
           as_json=json)  # fmt: skip


def database_of(config: Any) -> Any:
    """The store's file of a configuration. ConfigError."""
    from gateway.config import read_settings

    return read_settings(config).store.folder / "sense311.db"
