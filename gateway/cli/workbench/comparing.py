"""`rules diff`: two versions of rules on the same history, as text, JSON, or Markdown for a review.

Both run side by side over one reading of the messages. What differs is found out by
`gateway.difference`.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer
from gateway.cli.workbench.materials import (
    Assets,
    Config,
    Labels,
    Place,
    Recording,
    Since,
    TimeZone,
    Until,
    asked_well,
    bundle_of,
    gather,
    labels_of,
    tell_clockless,
    told,
)

if TYPE_CHECKING:
    from gateway.cli.workbench.judgement import Judgement
    from gateway.cli.workbench.materials import Material
    from gateway.workbench.backtest import Filing
    from gateway.workbench.difference import Change, Difference, OneSided
    from rules.rule import Bundle

IN_FORCE = "in-force"
SHOWN_MAX = 100  # lines of a comment that anyone reads


class Format(StrEnum):
    TEXT = "text"
    MD = "md"


_Side = Annotated[
    str, typer.Argument(help="A rule file, a folder, or in-force: the shipped rules, or of -c.")
]


def add_to(app: typer.Typer) -> None:
    app.command("diff")(diff)


def diff(
    old: _Side,
    new: _Side,
    recording: Recording = None,
    assets: Assets = None,
    config: Config = None,
    labels: Labels = None,
    since: Since = None,
    until: Until = None,
    time_zone: TimeZone = None,
    form: Annotated[Format, typer.Option("--format", help="For people.")] = Format.TEXT,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 where the two differ.")
    ] = False,
    json: Json = False,
) -> None:
    """What one version of rules files and the other does not, on the same history."""
    from gateway.cli.workbench.judgement import judge
    from gateway.workbench.difference import difference

    with asked_well(as_json=json):
        truth = labels_of(labels)
        material = gather(Place(recording, assets or (), config, since, until, time_zone))
        bundles = [_side(material, text) for text in (old, new)]
        tell_clockless(material.city, bundles[1])
        results = backtests(material, bundles, "diff")
    (old_side, new_side) = zip(bundles, results, strict=True)
    found = difference(old_side, new_side)
    judged = [judge(result, bundle, truth) for bundle, result in (old_side, new_side)]
    scores = _scores(*judged) if labels else {}
    lines = _markdown(found, scores) if form is Format.MD else _text(found, scores)
    answer({**_as_dict(found), "scores": scores}, lines, as_json=json)
    raise typer.Exit(Code.FINDINGS if exit_code and not found.is_none else Code.GOOD)


def backtests(material: "Material", bundles: "Sequence[Bundle]", title: str) -> list[Any]:
    """The result of each bundle, from one reading of the messages."""
    from gateway.workbench.backtest import Backtest

    runs = [Backtest(material.city, bundle, material.settings) for bundle in bundles]
    for received in told(material.messages(), title):
        for run in runs:
            run.feed(received)
    return [run.finish() for run in runs]


def _side(material: "Material", text: str) -> "Bundle":
    return bundle_of(material, [] if text == IN_FORCE else [Path(text)])


# -- the answer -----------------------------------------------------------------------------------


def _as_dict(found: "Difference") -> dict[str, Any]:
    return {
        "added": [_one_sided(one) for one in found.added],
        "removed": [_one_sided(one) for one in found.removed],
        "changed": [_change(one) for one in found.changed],
        "same": found.same,
    }


def _one_sided(one: "OneSided") -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

    filing = one.filing
    cleared = None if filing.cleared_ms is None else rfc3339(filing.cleared_ms)
    return {
        "rule": filing.rule, "service": filing.service, "asset_id": filing.asset_id,
        "lat": filing.lat, "long": filing.long, "started_at": rfc3339(filing.started_ms),
        "filed_at": rfc3339(filing.filed_ms), "cleared_at": cleared, "instead": one.instead,
    }  # fmt: skip


def _change(change: "Change") -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

    cleared = change.cleared_ms
    return {
        "rule": change.new.rule, "service": change.new.service, "asset_id": change.new.asset_id,
        "lat": change.new.lat, "long": change.new.long,
        "filed_at": rfc3339(change.new.filed_ms), "started_shift_s": change.started_ms // 1000,
        "filed_shift_s": change.filed_ms // 1000,
        "cleared_shift_s": None if cleared is None else cleared // 1000,
        "clears": [change.old.cleared_ms is not None, change.new.cleared_ms is not None],
    }  # fmt: skip


def _scores(old: "Judgement", new: "Judgement") -> dict[str, dict[str, list[float | None]]]:
    """Rule -> what is measured -> [before, after]."""
    names = ("precision", "recall", "f1")
    return {
        rule: {name: [getattr(x.scores.get(rule), name, None) for x in (old, new)]
               for name in names}
        for rule in sorted({*old.scores, *new.scores})
    }  # fmt: skip


# -- for people -----------------------------------------------------------------------------------


def _text(found: "Difference", scores: dict[str, Any]) -> Iterator[str]:
    yield _head(found)
    for sign, some in (("-", found.removed), ("+", found.added)):
        for one in some:
            yield f"{sign} {_what(one.filing)}"
            yield f"    the other side: {one.instead}"
    for change in found.changed:
        yield f"~ {_what(change.new)}: {_shifts(change)}"
    for rule, measured in scores.items():
        told = ", ".join(f"{name} {_both(pair)}" for name, pair in measured.items())
        yield f"{rule}: {told}"


def _markdown(found: "Difference", scores: dict[str, Any]) -> Iterator[str]:
    """For a comment: what it does first, then each filing in tables that fold away."""
    yield from (f"### Rules on history: {_head(found)}", "")
    if scores:
        yield from ("| rule | precision | recall | F1 |", "|---|---|---|---|")
        for rule, measured in scores.items():
            yield f"| {_cell(rule)} | " + " | ".join(_both(x) for x in measured.values()) + " |"
        yield ""
    for title, some in (("No longer filed", found.removed), ("Filed anew", found.added)):
        rows = [(*_place(one.filing), one.instead) for one in some]
        columns = ("rule", "where", "started", "filed", "the other side")
        yield from _folded(title, columns, rows)
    rows = [(*_place(change.new), _shifts(change)) for change in found.changed]
    yield from _folded("Moved", ("rule", "where", "started", "filed", "by"), rows)


def _folded(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from (f"<details><summary>{title}: {len(rows)}</summary>", "")
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows[:SHOWN_MAX]:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    if len(rows) > SHOWN_MAX:
        yield from ("", f"and {len(rows) - SHOWN_MAX} more")
    yield from ("", "</details>", "")


def _cell(text: str) -> str:
    """Text in a table of Markdown: it ends no cell and starts no tag or link."""
    plain = " ".join(text.split())
    for sign in "\\|<>[]`*_&@":
        plain = plain.replace(sign, f"\\{sign}" if sign not in "<>&@" else f"&#{ord(sign)};")
    return plain


def _head(found: "Difference") -> str:
    if found.is_none:
        return f"no difference, {found.same} filings by both"
    return (f"{len(found.removed)} no longer filed, {len(found.added)} filed anew, "
            f"{len(found.changed)} moved, {found.same} the same")  # fmt: skip


def _what(filing: "Filing") -> str:
    rule, where, started, filed = _place(filing)
    return f"{rule} at {where}, started {started}, filed {filed}"


def _place(filing: "Filing") -> tuple[str, str, str, str]:
    from gateway.cityhall.requests import rfc3339

    where = filing.asset_id or f"{filing.lat:.5f},{filing.long:.5f}"
    return filing.rule, where, rfc3339(filing.started_ms), rfc3339(filing.filed_ms)


def _shifts(change: "Change") -> str:
    parts = [
        f"{name} {_shift(ms)}"
        for name, ms in (
            ("started", change.started_ms),
            ("filed", change.filed_ms),
            ("cleared", change.cleared_ms),
        )
        if ms
    ]
    if change.old.cleared_ms is None and change.new.cleared_ms is not None:
        parts.append("clears now")
    elif change.old.cleared_ms is not None and change.new.cleared_ms is None:
        parts.append("does not clear any more")
    return ", ".join(parts)


def _shift(ms: int) -> str:
    from rules.wording import duration_text

    return f"{duration_text(abs(ms))} {'later' if ms > 0 else 'earlier'}"


def _both(pair: Sequence[float | None]) -> str:
    before, after = ("-" if value is None else f"{value:.3f}" for value in pair)
    return before if before == after else f"{before} → {after}"
