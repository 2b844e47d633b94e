"""A scenario through the gateway's own core in virtual time, and judged by its truth.

What is filed is what a running gateway would have filed: it is the backtest that decides. Every
fault that must be filed counts, also one that no rule here looks for.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.workbench.judgement import names_here, row_of, services_of, why_missed
from gateway.cli.workbench.materials import sources_of
from gateway.effects import Incoming, Settings
from gateway.errors import ConfigError
from gateway.inventory.assets import City, read_assets
from gateway.workbench.backtest import Backtest, Result, own_delay_ms
from gateway.workbench.inquiry import Received
from rules.files import load, read_library
from rules.rule import Bundle
from simulators.demands import Demands, shortfalls
from simulators.plan import Plan, messages
from simulators.register import write_assets
from simulators.score import Score, score
from simulators.truth import Label

TOLD_EVERY = 500  # messages between two words on how far it is
DAY_S = 86_400.0
NOBODY_LOOKS = "no rule here looks for it"

if TYPE_CHECKING:
    from rules.rule import Rule

Progress = Callable[[float], None]
"""Called with the share of the simulated time that has passed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why`: of each missed label, in the order of `score.missed_labels`, what came closest."""

    name: str
    plan: Plan
    truth: Mapping[Label, str]
    """Every label, under the ids of the rules here, and the kind of its fault."""
    score: Score
    why: Sequence[str]
    shortfalls: Sequence[str]
    result: Result
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.shortfalls

    def as_dict(self) -> dict[str, Any]:
        whole = self.score.as_dict()
        for label, why in zip(whole["missed_labels"], self.why, strict=True):
            label["why"] = why
        return {
            "name": self.name, "ok": self.ok, "shortfalls": list(self.shortfalls),
            "messages": self.result.messages, "readings": self.result.readings,
            "refusals": dict(self.result.refusals), "seconds": round(self.seconds, 3),
        } | whole  # fmt: skip


def judge(
    plan: Plan,
    rule_files: Sequence[Path],
    demands: Demands,
    progress: Progress = lambda _: None,
) -> Verdict:
    """`rule_files`: none for the shipped ones. Raises ConfigError, ValueError, OSError."""
    began_s = time.perf_counter()
    bundle = _bundle(rule_files)
    run = Backtest(_city(plan), bundle, Settings(allow_simulated=True))
    for received in _received(plan, progress):
        run.feed(received)
    result = run.finish()
    rules = {name: rule for name, rule in bundle.rules.items() if rule.file and not rule.in_shadow}
    labels = _labels(plan, rules)
    judged = _score(plan, result, rules, labels)
    why = [_why(result, rules, outcome.label) for outcome in judged.outcomes
           if not outcome.requests]  # fmt: skip
    seconds = time.perf_counter() - began_s
    name = plan.city.scenario.name
    return Verdict(name, plan, labels, judged, why, shortfalls(judged, demands), result, seconds)


def _bundle(rule_files: Sequence[Path]) -> Bundle:
    bundle, findings = load(sources_of(rule_files) if rule_files else read_library())
    if bundle is None:
        raise ConfigError(findings)
    return bundle


def _city(plan: Plan) -> City:
    """Through a file, as a real city hands its register over."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "assets.geojson"
        write_assets(path, plan.assets())
        city, findings = read_assets([path])
    if any(finding.code.startswith("E") for finding in findings):
        raise ConfigError(findings)
    return replace(city, time_zone=plan.city.scenario.place.time_zone)


def _received(plan: Plan, progress: Progress) -> Iterator[Received]:
    start_ms, end_ms = plan.city.start_ms, plan.city.end_ms
    for number, message in enumerate(messages(plan)):
        if number % TOLD_EVERY == 0:
            progress((message.t_ms - start_ms) / (end_ms - start_ms))
        yield Received(message.t_ms, Incoming(message.topic, message.payload, message.retain))


def _labels(plan: Plan, rules: "Mapping[str, Rule]") -> dict[Label, str]:
    """Under the ids of the rules here, with the kind of their fault."""
    here = names_here(services_of(rules))
    return {
        replace(label, rule=here(label.rule) or label.rule): str(fault.kind)
        for fault in plan.faults
        for label in fault.labels
    }


def _score(
    plan: Plan, result: Result, rules: "Mapping[str, Rule]", labels: Mapping[Label, str]
) -> Score:
    devices = sum(map(len, plan.concentrators().values()))
    return score(
        labels,
        [row_of(filing) for filing in result.filings if not filing.shadow],
        {name: name for name in rules},
        families=services_of(rules),
        grace_s={name: own_delay_ms(rule) / 1000 for name, rule in rules.items()},
        device_days=devices * plan.city.scenario.duration / DAY_S,
        kinds=labels,
        losses=plan.losses,
        things=things_of(plan.assets()),
    )


def things_of(register: Mapping[str, Any]) -> dict[str, list[str]]:
    """Device -> the assets that it tells of: its own, and the circuit that this hangs on."""
    things: dict[str, list[str]] = {}
    for feature in register.get("features", ()):
        told = feature.get("properties") or {}
        names = sorted({str(told[name]) for name in ("asset_id", "circuit") if told.get(name)})
        things |= dict.fromkeys(told.get("devices") or (), names)
    return things


def _why(result: Result, rules: "Mapping[str, Rule]", label: Label) -> str:
    rule = rules.get(label.rule)
    return NOBODY_LOOKS if rule is None else why_missed(result, label, rule)
