"""How well the detectors detect: every ready scenario with several seeds, and recordings of yours.

Each scenario is run through the gateway's own core in virtual time and judged by its truth, as
`sense311 sim score` does it; in more than half of them nothing may be filed. A detector counts
where its rule is in force and files: the shipped rules, and templates in the rules that scenarios
bring along. With --recordings a folder of recordings with labels is run through the backtest, each
with a table of its own. Prints tables, with --json one object. Changes nothing and decides nothing.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.cli.simulating.judging import DAY_S, Verdict
from gateway.cli.simulating.judging import judge as judge_plan
from gateway.cli.workbench.judgement import judge as judge_result
from gateway.cli.workbench.materials import Place, bundle_of, gather, labels_of, sources_of
from gateway.workbench.backtest import Backtest
from rules.files import load, read_library
from simulators.demands import Demands
from simulators.plan import Plan
from simulators.scenario_file import ScenarioError, ScenarioFile, read_scenario, ready
from simulators.staging import plan_from
from simulators.tally import Tally

SEEDS = 2
SEED_STEP = 1000  # between the seeds of one scenario: those that come along lie closer
EVERYTHING = "all"
HEADS = (
    "detector", "scenarios", "device-days", "faults", "precision", "recall", "F1",
    "median delay, min", "false per 1,000 device-days",
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """One detector over everything it was run on."""

    runs: int = 0
    quiet: int = 0
    """Runs in which there was nothing for it to file."""
    device_days: float = 0.0
    tally: Tally = field(default_factory=Tally)
    delays_s: list[float] = field(default_factory=list)

    def add(self, other: "Row") -> None:
        self.runs += other.runs
        self.quiet += other.quiet
        self.device_days += other.device_days
        for name in ("tp", "fp", "fn", "duplicates"):
            setattr(self.tally, name, getattr(self.tally, name) + getattr(other.tally, name))
        self.delays_s += other.delays_s

    def as_dict(self) -> dict[str, Any]:
        tally = self.tally
        tally.settle(self.delays_s)
        rate = 1000 * tally.fp / self.device_days if self.device_days else None
        return {
            "scenarios": self.runs, "without_fault": self.quiet,
            "device_days": round(self.device_days, 1), "faults": tally.tp + tally.fn,
            "tp": tally.tp, "fp": tally.fp, "fn": tally.fn, "duplicates": tally.duplicates,
            "precision": tally.precision, "recall": tally.recall, "f1": tally.f1,
            "delay_s_median": tally.delay_s_median, "false_per_1000_device_days": rate,
        }  # fmt: skip


Rows = dict[str, Row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each scenario")
    parser.add_argument("--only", nargs="*", default=(), help="scenarios: names or files")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--recordings", type=Path, help="a folder of recordings with labels")
    parser.add_argument("--param", action="append", default=[], help="RULE.NAME=VALUE, recordings")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    began_s = time.perf_counter()
    names = args.only or [path.stem for path in ready()]
    try:
        for name in names:
            read_scenario(name)
    except (OSError, ScenarioError) as error:
        parser.error(str(error))
    rows = measured(names, args.seeds, args.jobs)
    found: dict[str, Any] = {
        "seeds": args.seeds,
        "detectors": {name: row.as_dict() for name, row in rows.items()},
        "recordings": recorded(args.recordings, args.param) if args.recordings else {},
    }
    found["seconds"] = round(time.perf_counter() - began_s, 1)
    sys.stdout.write(json.dumps(found) + "\n" if args.json else shown(found, bars=args.markdown))


# -- scenarios ------------------------------------------------------------------------------------


def measured(names: Sequence[str], seeds: int, jobs: int) -> Rows:
    """Every detector over all scenarios with so many seeds; the first is the scenario's own."""
    tasks = [(name, number) for number in range(seeds) for name in names]
    if jobs == 1:
        return gathered(map(run_one, tasks))
    with ProcessPoolExecutor(jobs) as pool:
        return gathered(pool.map(run_one, tasks))


def gathered(parts: Iterable[Rows]) -> Rows:
    """Those of the detectors by name, that of everything last."""
    rows: Rows = {}
    for part in parts:
        for name, row in part.items():
            rows.setdefault(name, Row()).add(row)
    last = {EVERYTHING: rows.pop(EVERYTHING)} if EVERYTHING in rows else {}
    return dict(sorted(rows.items())) | last


def run_one(task: tuple[str, int]) -> Rows:
    """One scenario with one seed."""
    name, number = task
    file = read_scenario(name)
    if number:
        file = file.changed({"seed": file.scenario.seed + SEED_STEP * number})
    verdict = judge_plan(plan_from(file), file.rule_files, Demands())
    return rows_of(verdict, sensors_of(file))


def sensors_of(file: ScenarioFile) -> dict[str, str]:
    """The rules in force that file -> the kind of sensor that they watch."""
    bundle, _ = load(sources_of(file.rule_files) if file.rule_files else read_library())
    rules = bundle.rules.values() if bundle is not None else ()
    return {rule.id: rule.sensor for rule in rules if rule.file and not rule.in_shadow}


def rows_of(verdict: Verdict, sensors: Mapping[str, str]) -> Rows:
    """Also of what must be filed and no rule looks for: it is missed."""
    devices = devices_of(verdict.plan)
    days = verdict.plan.city.scenario.duration / DAY_S
    score, delays_s = verdict.score, delays_of(verdict)
    rows: Rows = {}
    for name in sensors.keys() | score.scores.keys():
        count = devices.get(sensors.get(name, ""), 0)
        tally = score.scores.get(name, Tally())
        if count or name in score.scores:
            quiet = not tally.tp + tally.fn
            rows[name] = Row(1, quiet, count * days, tally, delays_s.get(name, []))
    whole = Row(1, not score.faults_injected, sum(devices.values()) * days)
    for row in rows.values():
        whole.add(Row(tally=row.tally, delays_s=row.delays_s))
    return rows | {EVERYTHING: whole}


def delays_of(verdict: Verdict) -> dict[str, list[float]]:
    """From the beginning of each fault to its request, as the score has it."""
    found: dict[str, list[float]] = {}
    for outcome in verdict.score.outcomes:
        if outcome.requests and outcome.requests[0].observed_ms is not None:
            delay_ms = outcome.requests[0].observed_ms - outcome.label.start_ms
            found.setdefault(outcome.label.rule, []).append(delay_ms / 1000)
    return found


def devices_of(plan: Plan) -> dict[str, int]:
    """How many of each kind; those without an asset are vehicles."""
    counts: dict[str, int] = {}
    standing = 0
    for feature in plan.assets()["features"]:
        told = feature["properties"]
        names = len(told.get("devices") or (told["asset_id"],))
        counts[told["kind"]] = counts.get(told["kind"], 0) + names
        standing += names
    moving = sum(map(len, plan.concentrators().values())) - standing
    counts["road"] = counts.get("road", 0) + max(0, moving)
    return counts


# -- recordings -----------------------------------------------------------------------------------


def recorded(folder: Path, params: Sequence[str]) -> dict[str, Any]:
    """Recording -> detector -> its row, with the shipped rules."""
    triples = list(recordings_in(folder))
    if not triples:
        sys.exit(f"{folder}: no recording with assets and labels beside it; NAME.jsonl[.gz] wants"
                 " NAME.assets.geojson and NAME.labels.csv")  # fmt: skip
    return {str(one[0].relative_to(folder)): backtested(*one, params) for one in triples}


def recordings_in(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """(recording, assets, labels): named alike, or in a folder of their own."""
    for path in sorted(folder.rglob("*.jsonl*")):
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        alike = path.with_name(f"{name}.assets.geojson"), path.with_name(f"{name}.labels.csv")
        own = path.with_name("assets.geojson"), path.with_name("labels.csv")
        for assets, labels in (alike, own):
            if assets.is_file() and labels.is_file():
                yield path, assets, labels
                break


def backtested(
    recording: Path, assets: Path, labels: Path, params: Sequence[str]
) -> dict[str, Any]:
    """Detector -> its row. Device-days are those of devices with an asset."""
    material = gather(Place(recording, (assets,), None, None, None, None))
    bundle = bundle_of(material, (), params)
    run = Backtest(material.city, bundle, material.settings)
    for received in material.messages():
        run.feed(received)
    result = run.finish()
    judged = judge_result(result, bundle, labels_of(labels))
    days = (result.last_ms - result.first_ms) / 1000 / DAY_S
    found = {}
    for name, tally in judged.scores.items():
        sensor = bundle.rules[name].sensor
        devices = sum(asset.kind == sensor for asset in material.city.by_device.values())
        delays_s = [] if tally.delay_s_median is None else [tally.delay_s_median]
        row = Row(1, not tally.tp + tally.fn, devices * days, tally, delays_s)
        found[name] = row.as_dict()
    return found


# -- for people -----------------------------------------------------------------------------------


def shown(found: Mapping[str, Any], *, bars: bool) -> str:
    """The tables; with bars as Markdown."""
    whole = found["detectors"].get(EVERYTHING, {})
    head = (
        f"{whole.get('scenarios', 0)} runs, {whole.get('without_fault', 0)} of them with nothing to"
        f" file, {found['seeds']} seeds, {found['seconds']} s"
    )
    parts = [head, table(found["detectors"], bars=bars)]
    for name, rows in found["recordings"].items():
        parts += [name, table(rows, bars=bars)]
    return "\n\n".join(parts) + "\n"


def table(rows: Mapping[str, Mapping[str, Any]], *, bars: bool) -> str:
    lines = [list(HEADS), *([name, *cells(row)] for name, row in rows.items())]
    if bars:
        lines.insert(1, ["---"] * len(HEADS))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cells(row: Mapping[str, Any]) -> Iterator[str]:
    """What nothing was counted for is a dash, never a 0."""
    yield f"{row['scenarios']} ({row['without_fault']} without)"
    yield f"{row['device_days']:,.0f}"
    yield str(row["faults"])
    for name in ("precision", "recall", "f1"):
        yield _said(row[name], ".3f")
    delay_s = row["delay_s_median"]
    yield _said(None if delay_s is None else delay_s / 60, ".0f")
    yield _said(row["false_per_1000_device_days"], ".2f")


def _said(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    main()
