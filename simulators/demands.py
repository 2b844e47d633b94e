"""What a score must reach, and where it falls short.

Shares are asked of every rule by itself: one that fails wholly must not hide behind ten that do
well. What is not asked is not looked at. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simulators.scenario import Expect
from simulators.score import Score


@dataclass(frozen=True, slots=True)
class Demands:
    """`requests`: how many of each rule, and of no other. `time_to_detect_s`: within which nine
    faults in ten are to be reported. None: not asked.
    """

    precision: float | None = None
    recall: float | None = None
    duplicates: int | None = None
    false_per_1000_device_days: float | None = None
    time_to_detect_s: float | None = None
    requests: Mapping[str, int] | None = None

    @property
    def any(self) -> bool:
        return self != Demands()


PERFECT = Demands(precision=1.0, recall=1.0, duplicates=0)


def expected_of(expect: Expect) -> Demands:
    """What a scenario asks for."""
    return Demands(
        precision=expect.precision,
        recall=expect.recall,
        duplicates=expect.duplicates,
        time_to_detect_s=expect.time_to_detect,
        requests=expect.requests,
    )


def shortfalls(score: Score, demands: Demands) -> list[str]:
    """One line for each thing that is not as asked; none where all is."""
    return [*_shares(score, demands), *_counts(score, demands)]


def _shares(score: Score, demands: Demands) -> Iterator[str]:
    for rule, tally in score.scores.items():
        asked = (("precision", demands.precision), ("recall", demands.recall))
        for name, least in asked:
            value = getattr(tally, name)
            if least is not None and value is not None and value < least:
                yield f"{rule}: {name} {value:.3f} is below {least:g}"


def _counts(score: Score, demands: Demands) -> Iterator[str]:
    limits = (
        ("duplicates", score.duplicates, demands.duplicates),
        ("false requests per 1,000 device-days", score.false_per_1000_device_days,
         demands.false_per_1000_device_days),
        ("time to detect in seconds, of nine in ten,", score.time_to_detect_s_p90,
         demands.time_to_detect_s),
    )  # fmt: skip
    for name, value, most in limits:
        if most is not None and value is not None and value > most:
            yield f"{name} {value:g} is above {most:g}"
    if demands.requests is not None:
        made = {rule: one.tp + one.fp + one.duplicates for rule, one in score.scores.items()}
        for rule in sorted({*made, *demands.requests}):
            found, asked = made.get(rule, 0), demands.requests.get(rule, 0)
            if found != asked:
                yield f"{rule}: {found} requests, {asked} expected"
