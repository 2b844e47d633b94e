"""`rules backtest`: what rules would have filed over a recording or a gateway's store.

Runs the gateway's own core over the messages and shows what came of it. What it shows is found out
by `gateway.backtest`, judged by `judgement` and drawn by `reporting`.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, table
from gateway.cli.workbench.materials import (
    Assets,
    Config,
    Html,
    Labels,
    Params,
    Place,
    Recording,
    Rules,
    Since,
    TimeZone,
    Until,
    asked_well,
    bundle_of,
    gather,
    labels_of,
    tell_clockless,
    told,
    write_page,
)

if TYPE_CHECKING:
    from gateway.cli.workbench.judgement import Judgement, Missed
    from gateway.workbench.backtest import Filing, NearMiss, Result
    from simulators.truth import Label

NEAR_SHOWN = 10


def add_to(app: typer.Typer) -> None:
    app.command("backtest")(backtest)


def backtest(
    rules: Rules = None,
    recording: Recording = None,
    assets: Assets = None,
    config: Config = None,
    labels: Labels = None,
    since: Since = None,
    until: Until = None,
    time_zone: TimeZone = None,
    param: Params = None,
    html: Html = None,
    min_precision: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit 1 where a rule's is below it.")
    ] = None,
    min_recall: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit 1 where a rule's is below it.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """What rules would have filed over a recording or a gateway's store, judged by labels."""
    from gateway.cli.workbench.judgement import judge
    from gateway.workbench.backtest import Backtest

    with asked_well(as_json=json):
        truth = labels_of(labels)
        if not labels and not (min_precision is None and min_recall is None):
            raise ValueError("--min-precision and --min-recall need --labels")
        material = gather(Place(recording, assets or (), config, since, until, time_zone))
        bundle = bundle_of(material, rules or (), param or ())
        tell_clockless(material.city, bundle)
        began_s = time.perf_counter()
        run = Backtest(material.city, bundle, material.settings)
        for received in told(material.messages(), "backtest"):
            run.feed(received)
        result = run.finish()
        seconds = time.perf_counter() - began_s
    judged = judge(result, bundle, truth) if labels else None
    if html is not None:
        from gateway.cli.workbench.reporting import report_of

        write_page(html, report_of(material, bundle, result, judged), as_json=json)
    shortfalls = judged.shortfalls(min_precision, min_recall) if judged else []
    found = {**_as_dict(result, judged, seconds), "shortfalls": shortfalls}
    answer(found, _lines(result, judged, seconds, shortfalls), as_json=json)
    raise typer.Exit(Code.FINDINGS if shortfalls else Code.GOOD)


# -- the answer -----------------------------------------------------------------------------------


def _as_dict(result: "Result", judged: "Judgement | None", seconds: float) -> dict[str, Any]:
    from dataclasses import asdict

    from gateway.cityhall.requests import rfc3339

    found: dict[str, Any] = {
        "readings": result.readings,
        "seconds": round(seconds, 3),
        "filings": [_filing(filing, judged) for filing in result.filings],
        "scores": {rule: asdict(one) for rule, one in judged.scores.items()} if judged else {},
        "messages": result.messages,
        "from": rfc3339(result.first_ms) if result.messages else None,
        "to": rfc3339(result.last_ms) if result.messages else None,
        "settled_s": result.settled_ms // 1000,
        "duplicates": result.duplicates,
        "late": result.late,
        "refusals": dict(result.refusals),
        "incidents": dict(result.incidents),
        "undecided": result.undecided,
        "near_misses": [_near(miss) for miss in result.near],
    }
    if judged is not None:
        missed = [{**_label(one.label), "why": one.why} for one in judged.missed]
        found |= {"missed": missed, "labels_ignored": judged.ignored}
    return found


def _filing(filing: "Filing", judged: "Judgement | None") -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

    shown = {
        "rule": filing.rule, "asset_id": filing.asset_id, "lat": filing.lat, "long": filing.long,
        "started_at": rfc3339(filing.started_ms), "fired_at": rfc3339(filing.fired_ms),
        "filed_at": rfc3339(filing.filed_ms),
        "cleared_at": None if filing.cleared_ms is None else rfc3339(filing.cleared_ms),
        "service": filing.service, "description": filing.description, "shadow": filing.shadow,
    }  # fmt: skip
    return shown if judged is None else shown | {"verdict": judged.verdicts[filing.number]}


def _near(miss: "NearMiss") -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

    return {
        "rule": miss.rule, "subject": miss.subject, "share": round(miss.share, 3),
        "margin_s": miss.margin_ms // 1000, "started_at": rfc3339(miss.start_ms),
        "ended_at": rfc3339(miss.end_ms), "cause": miss.cause,
    }  # fmt: skip


def _label(label: "Label") -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

    return {
        "rule": label.rule, "asset_id": label.asset_id or None, "lat": label.lat,
        "long": label.lon, "start": rfc3339(label.start_ms),
        "end": None if label.end_ms is None else rfc3339(label.end_ms),
    }  # fmt: skip


# -- for people -----------------------------------------------------------------------------------


def _lines(
    result: "Result", judged: "Judgement | None", seconds: float, shortfalls: Sequence[str]
) -> Iterator[str]:
    rate = result.messages / seconds if seconds else 0.0
    yield (f"{result.readings:,} readings in {seconds:.1f} s ({rate:,.0f} messages a second), "
           f"{len(result.filings)} filings")  # fmt: skip
    yield from _doubts(result)
    yield ""
    yield from table([_short(filing, judged) for filing in result.filings], _COLUMNS)
    if judged is not None:
        yield ""
        yield from _score_lines(judged)
        yield from map(_missed_line, judged.missed)
    if result.near:
        yield from ("", "nearly fired:")
        yield from map(_near_line, result.near[:NEAR_SHOWN])
    yield from (f"below what is asked: {line}" for line in shortfalls)


_COLUMNS = ("", "rule", "where", "started", "filed", "cleared")


def _doubts(result: "Result") -> Iterator[str]:
    """What may make the result worth less than it looks."""
    if result.refusals:
        told = ", ".join(f"{reason} {count}" for reason, count in result.refusals.items())
        yield f"{sum(result.refusals.values())} refused: {told}"
    if result.late > result.readings // 2:
        yield ("most readings are older than a day when they came: was this recorded on "
               "accelerated time? They are not judged")  # fmt: skip
    if result.undecided:
        yield f"{result.undecided} fired too near the end to be decided"


def _short(filing: "Filing", judged: "Judgement | None") -> dict[str, str]:
    from gateway.cityhall.requests import rfc3339

    where = filing.asset_id or f"{filing.lat:.5f},{filing.long:.5f}"
    cleared = "" if filing.cleared_ms is None else rfc3339(filing.cleared_ms)
    values = (filing.rule, where, rfc3339(filing.started_ms), rfc3339(filing.filed_ms), cleared)
    verdict = str(judged.verdicts[filing.number]) if judged is not None else ""
    return dict(zip(_COLUMNS, (verdict, *values), strict=True))


def _score_lines(judged: "Judgement") -> Iterator[str]:
    rows = [
        {
            "rule": rule, "right": one.tp or "0", "false": one.fp or "0", "missed": one.fn or "0",
            "twice": one.duplicates or "0", "precision": _share(one.precision),
            "recall": _share(one.recall), "f1": _share(one.f1),
            "filed after": _minutes(one.delay_s_median),
        }
        for rule, one in judged.scores.items()
    ]  # fmt: skip
    names = ("right", "false", "missed", "twice", "precision", "recall", "f1", "filed after")
    yield from table(rows, ("rule", *names))
    if judged.ignored:
        yield f"{judged.ignored} labels are of other rules or another time"


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.0f} min"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _missed_line(missed: "Missed") -> str:
    from gateway.cityhall.requests import rfc3339

    label = missed.label
    where = label.asset_id or f"{label.lat:.5f},{label.lon:.5f}"
    return f"missed: {label.rule} at {where} from {rfc3339(label.start_ms)}: {missed.why}"


def _near_line(miss: "NearMiss") -> str:
    from gateway.cityhall.requests import duration, rfc3339

    reached = "too few samples" if miss.share >= 1 else f"{int(miss.share * 100)} % of its time"
    lasted = duration(miss.end_ms - miss.start_ms)
    return (f"  {miss.rule} at {miss.subject}, {rfc3339(miss.start_ms)}: {lasted}, {reached}, "
            f"then {miss.cause}")  # fmt: skip
