"""A backtest judged by labels: what was right, false, filed twice or missed, and why missed.

The judging itself is the simulators' score, the same that judges a live run; here labels and
filings are brought into its terms, and what failed is looked up in what the rules did.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from gateway.cityhall.requests import rfc3339
from gateway.inventory.assets import circuit_id, zone_id
from gateway.workbench.backtest import Filing, Result, own_delay_ms
from simulators.score import RADIUS_M, distance_m, score
from simulators.tally import Tally

if TYPE_CHECKING:
    from rules.rule import Bundle, Rule
    from simulators.truth import Label


class Verdict(StrEnum):
    RIGHT = "right"
    FALSE = "false"
    TWICE = "twice"


@dataclass(frozen=True, slots=True)
class Missed:
    """A label that no filing answers, and the nearest thing that happened."""

    label: "Label"
    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """`ignored`: labels that no rule here files for, or from outside the time of the data."""

    scores: Mapping[str, Tally]
    verdicts: Mapping[int, Verdict]
    """Of each filing, by its number."""
    missed: Sequence[Missed]
    labels: "Sequence[Label]"
    """Those that count, under the ids of the rules here."""
    ignored: int

    def shortfalls(self, precision: float | None, recall: float | None) -> list[str]:
        """Rules that fall short of what is asked."""
        asked = (("precision", precision), ("recall", recall))
        return [
            f"{rule}: {name} {value:.3f} is below {least:g}"
            for rule, one in self.scores.items()
            for name, least in asked
            if least is not None and (value := getattr(one, name)) is not None and value < least
        ]

    def labels_of(self, filing: Filing) -> "list[Label]":
        """What the labels say about the thing of a filing."""
        return [x for x in self.labels if x.rule == filing.rule and _same_thing(filing, x)]


def judge(result: Result, bundle: "Bundle", labels: "Sequence[Label]") -> Judgement:
    """Live rules together, each rule in shadow by itself: it answers for nobody else."""
    whole = Judgement({}, {}, (), (), len(labels))
    for rules in _teams(bundle):
        one = _judge(result, rules, labels)
        whole = Judgement(
            {**whole.scores, **one.scores},
            {**whole.verdicts, **one.verdicts},
            [*whole.missed, *one.missed],
            [*whole.labels, *one.labels],
            min(whole.ignored, one.ignored),
        )
    return whole


def judge_alone(result: Result, rule: "Rule", labels: "Sequence[Label]") -> Judgement:
    """One rule, whatever the others file."""
    return _judge(result, {rule.id: rule}, labels)


def _teams(bundle: "Bundle") -> "Iterator[dict[str, Rule]]":
    filing = {name: rule for name, rule in bundle.rules.items() if rule.file is not None}
    yield {name: rule for name, rule in filing.items() if not rule.in_shadow}
    yield from ({name: rule} for name, rule in filing.items() if rule.in_shadow)


def _judge(result: Result, rules: "Mapping[str, Rule]", labels: "Sequence[Label]") -> Judgement:
    services = services_of(rules)
    counted = _counted(result, services, labels)
    filings = [filing for filing in result.filings if filing.rule in rules]
    judged = score(
        counted,
        [row_of(filing) for filing in filings],
        {name: name for name in rules},
        families=services,
        grace_s={name: own_delay_ms(rule) / 1000 for name, rule in rules.items()},
    )
    verdicts = {filing.number: Verdict.RIGHT for filing in filings}
    verdicts |= {int(number): Verdict.FALSE for number in judged.false_requests}
    verdicts |= {int(number): Verdict.TWICE for number in judged.duplicate_requests}
    missed = [
        Missed(x, why_missed(result, x, rules[x.rule]))
        for x in _missed(judged.missed_labels, counted)
    ]
    return Judgement(judged.scores, verdicts, missed, counted, len(labels) - len(counted))


def services_of(rules: "Mapping[str, Rule]") -> dict[str, str]:
    """Rule -> the service that it files, which is what makes two rules one family."""
    return {rule.id: rule.file.service for rule in rules.values() if rule.file is not None}


def _counted(
    result: Result, services: Mapping[str, str], labels: "Sequence[Label]"
) -> "list[Label]":
    """Labels that these rules and this data can answer. One for a shipped rule that was renamed is
    answered by the rule that files the same service.
    """
    named_here = names_here(services)
    counted = []
    for label in labels:
        named = named_here(label.rule)
        ended = label.end_ms is not None and label.end_ms < result.first_ms
        if named is not None and not ended and label.start_ms <= result.last_ms:
            counted.append(replace(label, rule=named))
    return counted


def names_here(services: Mapping[str, str]) -> Callable[[str], str | None]:
    """The rule of a label -> the rule here that answers for it; None where no rule does."""
    known = {**_shipped(), **services}
    by_service: dict[str, str] = {}
    for rule, service in services.items():
        by_service.setdefault(service, rule)
    return lambda rule: rule if rule in services else by_service.get(known.get(rule, ""))


@cache
def _shipped() -> dict[str, str]:
    from rules.files import load, read_library

    bundle, _ = load(read_library())
    return {} if bundle is None else services_of(bundle.rules)


def row_of(filing: Filing) -> dict[str, Any]:
    """A filing as a row of the city's ledger. It was observed when it was filed."""
    attributes = {"observed_at": rfc3339(filing.filed_ms), "asset_id": filing.asset_id or ""}
    times = {"started": filing.started_ms, "fired": filing.fired_ms, "filed": filing.filed_ms,
             "cleared": filing.cleared_ms}  # fmt: skip
    attributes |= {f"{name}_at": rfc3339(ms) for name, ms in times.items() if ms is not None}
    return {
        "service_request_id": str(filing.number), "service_code": filing.rule,
        "lat": filing.lat, "long": filing.long, "attributes": attributes,
    }  # fmt: skip


def _missed(rows: Sequence[Mapping[str, Any]], labels: "Sequence[Label]") -> "list[Label]":
    known = {(x.rule, x.start_ms, x.asset_id, x.lat, x.lon): x for x in labels}
    keys = ("rule", "start_ms", "asset_id", "lat", "lon")
    return [known[tuple(row[key] for key in keys)] for row in rows]


def _same_thing(filing: Filing, label: "Label") -> bool:
    if label.asset_id and filing.asset_id:
        return label.asset_id == filing.asset_id
    if label.lat is None or label.lon is None:
        return False
    return distance_m(filing.lat, filing.long, label.lat, label.lon) <= RADIUS_M


# -- why a label was missed -----------------------------------------------------------------------


def why_missed(result: Result, label: "Label", rule: "Rule") -> str:
    """What came closest to a request for it."""
    keys = [(label.rule, subject) for subject in _subjects(result, label, rule)]
    return result.nearest(keys, label.start_ms, label.end_ms)


def _subjects(result: Result, label: "Label", about: "Rule") -> list[str]:
    """Subjects of the rule that the label can mean."""
    if label.asset_id:
        return [subject_of(about, label)]
    return [subject for rule, subject in result.stretches if rule == label.rule
            and _near(subject, label)]  # fmt: skip


def subject_of(rule: "Rule", label: "Label") -> str:
    """What the rule calls the thing that a label names."""
    if rule.scope == "zone":
        return zone_id(label.asset_id, rule.sensor)
    return circuit_id(label.asset_id) if rule.scope == "circuit" else label.asset_id


def _near(subject: str, label: "Label") -> bool:
    """A place carries where it was first felt in its name."""
    parts = subject.split(":")
    if parts[0] != "place" or label.lat is None or label.lon is None:
        return False
    lat, lon = map(float, parts[2].split(","))
    return distance_m(lat, lon, label.lat, label.lon) <= 2 * RADIUS_M
