"""`rules tune`: precision and recall of a rule over the values of one of its parameters.

Each value is a backtest of its own. A rule that stands alone is worked out on columns, decoded once
from a run of the whole core, if they agree with that run on what it files; else the core runs for
every value, side by side over one reading of the messages.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, table
from gateway.cli.workbench.materials import (
    Assets,
    Config,
    Html,
    Labels,
    Material,
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
    from gateway.workbench.backtest import Filing, Result
    from gateway.workbench.tuning import Range, Value
    from rules.rule import Bundle, Rule
    from simulators.tally import Tally
    from simulators.truth import Label

BAR = 20  # characters of a whole share


def add_to(app: typer.Typer) -> None:
    app.command("tune")(tune)


@dataclass(frozen=True, slots=True)
class Point:
    """A value of the parameter, and what the rule does with it."""

    value: "Value"
    filings: int
    score: "Tally | None"

    @property
    def f1(self) -> float:
        return self.score.f1 or 0.0 if self.score else 0.0

    def as_dict(self) -> dict[str, Any]:
        scored = asdict(self.score) if self.score else {}
        return {"value": self.value.literal, "filings": self.filings, **scored}


@dataclass(frozen=True, slots=True)
class Curve:
    rule: str
    tried: "Range"
    points: Sequence[Point]
    now: "Value | None"
    by: str
    """columns or core."""

    @property
    def best(self) -> Point | None:
        """The highest F1; of several the one in the middle, furthest from where it falls."""
        top = max((point.f1 for point in self.points), default=0.0)
        some = [point for point in self.points if point.f1 == top]
        return some[len(some) // 2] if top else None


def tune(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The id of the rule.")],
    param: Annotated[str, typer.Option(help="NAME=LOW..HIGH, as out_frac=5%..50%.")],
    rules: Rules = None,
    steps: Annotated[int, typer.Option(help="How many values.")] = 10,
    recording: Recording = None,
    assets: Assets = None,
    config: Config = None,
    labels: Labels = None,
    since: Since = None,
    until: Until = None,
    time_zone: TimeZone = None,
    html: Html = None,
    *,
    json: Json = False,
) -> None:
    """Precision and recall of a rule over the values of one of its parameters."""
    from gateway.workbench.tuning import read_range

    with asked_well(as_json=json):
        if labels is None:
            raise ValueError("--labels FILE: without the truth there is nothing to tune to")
        truth = labels_of(labels)
        tried = read_range(param, steps)
        material = gather(Place(recording, assets or (), config, since, until, time_zone))
        began_s = time.perf_counter()
        curve = curve_of(material, rules or (), rule, tried, truth)
        seconds = time.perf_counter() - began_s
    if html is not None:
        write_page(html, _page(curve), as_json=json)
    best = curve.best
    found = {
        "rule": rule, "param": tried.name, "unit": tried.unit, "by": curve.by,
        "points": [point.as_dict() for point in curve.points],
        "best": best.value.literal if best else None,
        "now": curve.now.literal if curve.now else None, "seconds": round(seconds, 3),
    }  # fmt: skip
    answer(found, _lines(curve, seconds), as_json=json)
    raise typer.Exit(Code.GOOD)


def curve_of(
    material: Material, paths: Sequence[Path], rule: str, tried: "Range", truth: "Sequence[Label]"
) -> Curve:
    """ValueError, ConfigError: no such rule or parameter, or a value that it cannot have."""
    from gateway.workbench.tuning import present_value, related

    base = bundle_of(material, paths)
    if rule not in base.rules or base.rules[rule].file is None:
        known = ", ".join(name for name, one in base.rules.items() if one.file)
        raise ValueError(f"no rule {rule!r} that files; there is: {known}")
    tell_clockless(material.city, related(base, rule))
    now = present_value(base.rules[rule], tried)
    values = sorted({*tried.values, *([now] if now else [])})
    bundles = [
        related(bundle_of(material, paths, [f"{rule}.{tried.name}={value.literal}"]), rule)
        for value in values
    ]
    results, by = _results(material, related(base, rule), bundles, rule)
    points = [
        _point(value, result, bundle.rules[rule], truth)
        for value, result, bundle in zip(values, results, bundles, strict=True)
    ]
    return Curve(rule, tried, points, now, by)


def _results(
    material: Material, base: "Bundle", bundles: "Sequence[Bundle]", rule: str
) -> "tuple[list[Result], str]":
    from gateway.cli.workbench.comparing import backtests
    from gateway.workbench.backtest import Backtest
    from gateway.workbench.tuning import Columns, agree, stands_alone

    if not all(stands_alone(bundle.rules[rule], bundle) for bundle in (base, *bundles)):
        return backtests(material, bundles, "tune"), "core"
    columns = Columns(material.city, base.rules[rule])
    run = Backtest(material.city, base, material.settings, columns.note)
    for received in told(material.messages(), "tune"):
        run.feed(received)
    whole = run.finish()

    def result(bundle: "Bundle") -> "Result":
        filings: Sequence[Filing] = columns.filings(bundle.rules[rule], whole.last_ms)
        return replace(whole, filings=tuple(filings), stretches={}, near=(), unfiled={})

    if not agree(result(base).filings, whole.filings, rule):
        return backtests(material, bundles, "tune"), "core"
    return [result(bundle) for bundle in bundles], "columns"


def _point(value: "Value", result: "Result", rule: "Rule", truth: "Sequence[Label]") -> Point:
    """The rule judged by itself."""
    from gateway.cli.workbench.judgement import judge_alone

    filings = sum(filing.rule == rule.id for filing in result.filings)
    judged = judge_alone(result, rule, truth)
    return Point(value, filings, judged.scores.get(rule.id))


# -- for people -----------------------------------------------------------------------------------


def _lines(curve: Curve, seconds: float) -> Iterator[str]:
    values = f"{len(curve.points)} values by {curve.by}, {seconds:.1f} s"
    yield f"{curve.rule}.{curve.tried.name}, {values}"
    yield ""
    columns = (curve.tried.name, *_COUNTED, "", " ")
    rows = [_row(point, curve) for point in curve.points]
    yield from table([dict(zip(columns, row, strict=True)) for row in rows], columns)
    if curve.best is None:
        yield "no value files anything that the labels ask for"


_COUNTED = ("filed", "right", "false", "missed", "precision", "recall", "f1")


def _row(point: Point, curve: Curve) -> tuple[str, ...]:
    """The value, what is counted of it, a bar, and a remark."""
    score = point.score
    counts = ("-",) * 3 if score is None else (str(score.tp), str(score.fp), str(score.fn))
    shares = (None,) * 3 if score is None else (score.precision, score.recall, score.f1)
    bar = "█" * round(BAR * point.f1)
    told = (*counts, *map(_share, shares), bar, _remark(point, curve))
    return (point.value.literal, str(point.filings), *told)


def _remark(point: Point, curve: Curve) -> str:
    remarks = ("best" if point is curve.best else "", "now" if point.value == curve.now else "")
    return ", ".join(remark for remark in remarks if remark)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _page(curve: Curve) -> str:
    from gateway.workbench.charts import curve as drawn
    from gateway.workbench.charts import precision_recall
    from gateway.workbench.report import Report, Section, Table, page

    points, best = curve.points, curve.best
    shares = [
        (name, [(p.value.number, getattr(p.score, field, None)) for p in points])
        for name, field in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    marks = [("now", curve.now.number)] if curve.now else []
    marks += [(f"best: {best.value.literal}", best.value.number)] if best else []
    rows = [(*row[:-2], row[-1]) for row in (_row(point, curve) for point in points)]
    heads = [curve.tried.name, *(f">{name}" for name in _COUNTED), ""]
    numbers = {
        "now": curve.now.literal if curve.now else "-",
        "best F1 at": best.value.literal if best else "-",
        "best F1": _share(best.f1 if best else None),
    }
    labelled = [
        (point.value.literal, getattr(point.score, "precision", None),
         getattr(point.score, "recall", None))
        for point in points
    ]  # fmt: skip
    sections = [
        Section("Over the values", [drawn(curve.tried.name, shares, curve.tried.unit, marks)]),
        Section("Precision over recall", [precision_recall(labelled)]),
        Section("Values", [Table(heads, rows)]),
    ]
    title = f"Tuning {curve.rule}.{curve.tried.name}"
    return page(Report(title, f"{len(points)} values", numbers, sections, shows_time=False))
