"""`sim score`: requests judged by the truth, of a run that was or of scenarios run for it.

The judging is the simulators' score; here its words are found, shown and written down.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree as ET

import typer

from gateway.cli.output import Code, Json, answer, fail, told_plainly
from gateway.cli.simulating.options import staged_well

if TYPE_CHECKING:
    from simulators.demands import Demands
    from simulators.losses import Loss
    from simulators.score import Score
    from simulators.truth import Label

_Share = typer.Option(min=0, max=1, help="Exit 1 where a rule's is below it.")


@dataclass(frozen=True, slots=True)
class _Told:
    """One judged run. `body`: as an object. `truth`: every label, and the kind of its fault."""

    name: str
    score: "Score"
    shortfalls: Sequence[str]
    body: Mapping[str, Any]
    truth: "Mapping[Label, str]"
    register: Mapping[str, Any]
    seconds: float = 0.0
    why: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Files:
    labels: Path
    requests: str
    profile: str
    device_days: float | None
    assets: Path | None


def add_to(app: typer.Typer) -> None:
    app.command("score")(score)


def score(
    scenarios: Annotated[
        list[str] | None, typer.Argument(help="Files, or names of `sim list`: run and judged.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every ready scenario.")] = False,
    labels: Annotated[
        Path | None, typer.Option(help="What was wrong: labels.csv, or truth.json for its kinds.")
    ] = None,
    requests: Annotated[
        str | None,
        typer.Option(help="What was filed: a JSON list, or the address of a simulated desk."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Whose service codes the requests carry.")] = "desk",
    device_days: Annotated[float | None, typer.Option(help="For the rate of false ones.")] = None,
    assets: Annotated[Path | None, typer.Option(help="GeoJSON, for the map of --html.")] = None,
    min_precision: Annotated[float | None, _Share] = None,
    min_recall: Annotated[float | None, _Share] = None,
    max_duplicates: Annotated[int | None, typer.Option(min=0, help="Exit 1 above it.")] = None,
    max_false_per_1000: Annotated[
        float | None, typer.Option(min=0, help="False ones per 1,000 device-days; exit 1 above it.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report, one file.")] = None,
    *,
    json: Json = False,
) -> None:
    """Judge requests by the truth: missed, false, twice. Of a run that was, with --labels and
    --requests, or of scenarios, which are run through the gateway's core for it. Limits given here
    are asked for instead of what a scenario expects; without any, nothing may be wrong.
    """
    from simulators.demands import Demands

    demands = Demands(min_precision, min_recall, max_duplicates, max_false_per_1000)
    if (labels is not None or requests is not None) == bool(scenarios or every):
        fail("name scenarios, or --all, or give --labels and --requests", Code.USAGE, as_json=json)
    if scenarios or every:
        told = _run(_named(scenarios or (), every), demands, as_json=json)
    elif labels is None or requests is None:
        fail("--labels and --requests go together", Code.USAGE, as_json=json)
    else:
        files = _Files(labels, requests, profile, device_days, assets)
        told = [_of_files(files, demands, as_json=json)]
    _write(told, junit, html, as_json=json)
    if not (scenarios or every):
        answer(told[0].body, _lines(told[0]), as_json=json)
    elif json:
        failed = sum(bool(one.shortfalls) for one in told)
        rows = [one.body for one in told]
        summary = {"passed": len(told) - failed, "failed": failed, "scenarios": rows}
        answer(summary, (), as_json=True)
    raise typer.Exit(Code.FINDINGS if any(one.shortfalls for one in told) else Code.GOOD)


# -- a run that was -------------------------------------------------------------------------------


def _of_files(files: _Files, demands: "Demands", *, as_json: bool) -> _Told:
    from gateway.cityhall.profile import ProfileError
    from gateway.cli.scoreboard import ledger_of, rules_by_code
    from gateway.cli.simulating.judging import things_of
    from simulators.demands import PERFECT, shortfalls
    from simulators.score import score as judge
    from simulators.truth import kinds_of, read_labels, read_truth

    try:
        by_kind = files.labels.suffix == ".json"
        losses: list[Loss] = []
        if by_kind:
            told, losses = read_truth(files.labels)
            truth = kinds_of(told)
        else:
            truth = dict.fromkeys(read_labels(files.labels), "")
        register = _register_of(files.assets)
        judged = judge(
            truth, ledger_of(files.requests), rules_by_code(files.profile),
            device_days=files.device_days, kinds=truth if by_kind else None,
            losses=losses, things=things_of(register),
        )  # fmt: skip
    except ProfileError as error:
        fail("; ".join(map(str, error.findings)), Code.USAGE, as_json=as_json)
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(str(error), Code.OUTSIDE, as_json=as_json)
    short = shortfalls(judged, demands if demands.any else PERFECT)
    body = judged.as_dict() | {"shortfalls": short}
    return _Told(files.labels.stem, judged, short, body, truth, register)


def _register_of(path: Path | None) -> dict[str, Any]:
    import json

    body = {} if path is None else json.loads(path.read_text("utf-8"))
    if not isinstance(body, dict) or not isinstance(body.get("features", []), list):
        raise ValueError(f"{path}: not GeoJSON")  # noqa: TRY004
    return body


# -- scenarios ------------------------------------------------------------------------------------


def _named(scenarios: Sequence[str], every: bool) -> list[str | Path]:
    from simulators.scenario_file import ready

    return [*scenarios, *(ready() if every else ())]


def _run(scenarios: Sequence[str | Path], demands: "Demands", *, as_json: bool) -> list[_Told]:
    """One after the other, each told as it is done."""
    from gateway.cli.simulating.judging import judge
    from simulators.demands import expected_of
    from simulators.scenario_file import read_scenario
    from simulators.staging import plan_from

    found = []
    with _watched(len(scenarios)) as watch:
        for number, name in enumerate(scenarios):
            with staged_well(as_json=as_json), _asked_well(as_json=as_json):
                file = read_scenario(name)
                asked = demands if demands.any else expected_of(file.scenario.expect)
                told = watch(number, file.scenario.name)
                verdict = judge(plan_from(file), file.rule_files, asked, told)
            one = _Told(
                verdict.name, verdict.score, verdict.shortfalls, verdict.as_dict(), verdict.truth,
                verdict.plan.assets(), verdict.seconds, verdict.why,
            )  # fmt: skip
            found.append(one)
            if not as_json:
                answer({}, _scenario_lines(one), as_json=False)
    return found


@contextmanager
def _asked_well(*, as_json: bool) -> Iterator[None]:
    """Rule files that cannot be read, or are wrong, as one message."""
    from simulators.scenario_file import ScenarioError

    try:
        with told_plainly(as_json=as_json):
            yield
    except ScenarioError:
        raise
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)


@contextmanager
def _watched(total: int) -> Iterator[Callable[[int, str], Callable[[float], None]]]:
    """(number, name) -> how to tell the share that is done; seen on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("", total=total)

        def watch(number: int, name: str) -> Callable[[float], None]:
            return lambda share: progress.update(task, completed=number + share, description=name)

        yield watch


# -- for people -----------------------------------------------------------------------------------


def _lines(told: _Told) -> Iterator[str]:
    from gateway.cli.scoreboard import lines_of

    yield from lines_of(told.score)
    yield from _kinds(told.score)
    yield from (f"not as asked: {line}" for line in told.shortfalls)


def _scenario_lines(told: _Told) -> Iterator[str]:
    score = told.score
    verdict = "FAILED" if told.shortfalls else "ok"
    detected = score.time_to_detect_s
    seen = "" if detected is None else f", seen after {detected / 60:.0f} min"
    lost = f", {score.undelivered:,} messages never delivered" if score.undelivered else ""
    yield (
        f"{verdict:<7} {told.name:<24} {score.faults_injected} faults, {score.requests_filed} "
        f"requests, {score.missed} missed, {score.false} false, {score.duplicates} twice{seen}"
        f"{lost} ({told.seconds:.1f} s)"
    )
    if told.shortfalls:
        yield from (f"        {line}" for line in told.shortfalls)
        yield from (f"        {line}" for line in _failings(told))


def _failings(told: _Told) -> Iterator[str]:
    from simulators.wire import rfc3339

    missed = told.score.missed_labels
    for label, why in zip(missed, told.why or [""] * len(missed), strict=True):
        thing = label["asset_id"] or f"{label['lat']}, {label['lon']}"
        lost = f" ({label['undelivered']} readings were lost)" if label["undelivered"] else ""
        when = rfc3339(label["start_ms"])
        what = ", ".join(filter(None, (label["kind"], label["rule"])))
        yield f"missed: {what} at {thing} from {when}: {why}{lost}".rstrip(" :")
    for stray in told.score.strays:
        request = stray.request
        when = "" if request.observed_ms is None else f", {rfc3339(request.observed_ms)}"
        thing = request.asset_id or f"{request.lat}, {request.lon}"
        yield f"false: {request.rule} at {thing}{when}, where there was {stray.kind}"
    for outcome in told.score.outcomes:
        for request in outcome.requests[1:]:
            yield f"twice: {request.rule} at {request.asset_id or outcome.label.asset_id}"


def _kinds(score: "Score") -> Iterator[str]:
    from gateway.cli.output import table

    columns = (
        "kind",
        "faults",
        "alike",
        "right",
        "missed",
        "false",
        "twice",
        "seen after",
        "9 in 10",
    )
    rows = [
        dict(zip(columns, (
            kind, *(count or "0" for count in (one.tp + one.fn, one.look_alikes, one.tp, one.fn,
            one.fp, one.duplicates)), _minutes(one.delay_s_median), _minutes(one.delay_s_p90),
        ), strict=True))
        for kind, one in score.kinds.items()
    ]  # fmt: skip
    if rows:
        yield ""
        yield from table(rows, columns)


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.0f} min"


# -- files ----------------------------------------------------------------------------------------


def _write(told: Sequence[_Told], junit: Path | None, html: Path | None, *, as_json: bool) -> None:
    try:
        if junit is not None:
            _junit(told).write(junit, encoding="utf-8", xml_declaration=True)
        if html is not None:
            html.write_text(_page(told), "utf-8", newline="\n")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", Code.OUTSIDE, as_json=as_json)


def _junit(told: Sequence[_Told]) -> "ET.ElementTree[ET.Element]":
    """A case for each run; what is not as asked is its failure."""
    failed = sum(bool(one.shortfalls) for one in told)
    suite = ET.Element(
        "testsuite", name="sense311 sim score", tests=str(len(told)), failures=str(failed)
    )
    for one in told:
        seconds = f"{one.seconds:.3f}"
        case = ET.SubElement(
            suite, "testcase", classname="sense311.sim", name=one.name, time=seconds
        )
        if one.shortfalls:
            failure = ET.SubElement(case, "failure", message="; ".join(one.shortfalls))
            failure.text = "\n".join(_failings(one))
    return ET.ElementTree(suite)


def _page(told: Sequence[_Told]) -> str:
    from simulators.score_report import Run, page

    return page([
        Run(one.name, one.score, one.shortfalls, one.truth, one.register, one.why) for one in told
    ])  # fmt: skip
