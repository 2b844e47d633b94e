"""The scoreboard: what was wrong in the city, what was asked of it, and whether they agree.

Reads a desk's ledger and writes the judgement down for people. It judges nothing itself: that is
the simulators' score.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simulators.score import Score

LEDGER_TIMEOUT_S = 20.0


def rules_by_code(profile: str) -> dict[str, str]:
    """A city's service code -> the first shipped rule that files it. ProfileError."""
    from gateway.cityhall.profile import read_profile
    from rules.files import load, read_library

    services = read_profile(profile).services
    bundle, _ = load(read_library())
    rules = bundle.rules.values() if bundle is not None else ()
    return {
        services[rule.file.service].code: rule.id
        for rule in reversed(tuple(rules))
        if rule.file is not None and rule.file.service in services
    }


def ledger_of(source: str) -> list[dict[str, Any]]:
    """The requests in a JSON file, or at a simulated desk. ValueError, OSError."""
    if not source.startswith(("http://", "https://")):
        rows = json.loads(Path(source).read_text("utf-8"))
    else:
        rows = _fetch(source)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{source}: not a list of requests")
    return rows


def _fetch(url: str) -> Any:
    import httpx

    # The desk is on this machine: a proxy named in the environment has no part in it.
    try:
        with httpx.Client(trust_env=False, timeout=LEDGER_TIMEOUT_S) as client:
            found = client.get(url.rstrip("/").removesuffix("/desk/ledger") + "/desk/ledger")
            found.raise_for_status()
            return found.json()
    except httpx.HTTPError as error:
        raise OSError(f"{url}: {error}") from error


def set_of(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What was asked for, whenever and in whatever order: [service code, asset or place]."""
    return sorted([str(row.get("service_code")), _thing(row)] for row in rows)


def _thing(row: Mapping[str, Any]) -> str:
    """An asset's id; a place by where it is, to about a hundred metres: its id and its middle hang
    on which vehicle came first.
    """
    asset = str((row.get("attributes") or {}).get("asset_id") or "")
    if asset and not asset.startswith("place:"):
        return asset
    try:
        return f"{float(row['lat']):.3f},{float(row['long']):.3f}"
    except (KeyError, TypeError, ValueError):
        return ""


def lines_of(judged: "Score") -> Iterator[str]:
    """The judgement as plain lines, failings by name."""
    yield (
        f"faults {judged.faults_injected}, requests {judged.requests_filed}, missed "
        f"{judged.missed}, false {judged.false}, duplicates {judged.duplicates}"
    )
    for rule, one in judged.scores.items():
        yield f"  {rule}: {one.tp} right, {one.fn} missed, {one.fp} false, {one.duplicates} twice"
    yield from failings(judged)


def failings(judged: "Score") -> Iterator[str]:
    from simulators.wire import rfc3339

    for label in judged.missed_labels:
        thing = label["asset_id"] or f"{label['lat']}, {label['lon']}"
        yield f"missed: {label['rule']} at {thing}, from {rfc3339(label['start_ms'])}"
    for request in judged.false_requests:
        yield f"false: request {request}"
    for request in judged.duplicate_requests:
        yield f"twice: request {request}"


def board(judged: "Score", facts: Mapping[str, Any]) -> "RenderableType":
    """A table for the terminal: each rule, the sum, and the facts of the run below."""
    from rich.table import Table

    table = Table(title="One fault, one request", caption=_caption(facts), title_style="bold")
    table.add_column("rule")
    for name in ("faults", "filed", "missed", "false", "twice", "seen after"):
        table.add_column(name, justify="right")
    for rule, one in judged.scores.items():
        delay = "" if one.delay_s_median is None else f"{one.delay_s_median / 60:.0f} min"
        filed = one.tp + one.fp + one.duplicates
        cells = (one.tp + one.fn, filed, one.fn, one.fp, one.duplicates)
        table.add_row(rule, *map(str, cells), delay)
    table.add_section()
    total = (judged.faults_injected, judged.requests_filed, judged.missed, judged.false,
             judged.duplicates)  # fmt: skip
    table.add_row("all", *map(str, total), "", style="bold green" if judged.perfect else "bold red")
    return table


def _caption(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
