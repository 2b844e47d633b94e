"""What the tests of the rule language share: scenes set by hand, and conditions judged in them."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from rules.codegen import compiled
from rules.document import Scalar
from rules.expression import condition
from rules.fields import by_name
from rules.local_time import schedule_of
from rules.names import Context, Names
from rules.rule import Count
from rules.syntax import Refused

LAMP = Context(
    "a streetlight",
    by_name("streetlight"),
    is_lamp=True,
    phases=frozenset({"lamp_out", "day_burner"}),
)
CIRCUIT = Context("a circuit", by_name("cabinet"), has_attributes=False, members=LAMP)
BIN = Context("a bin", by_name("bin"))
MINUTE_MS = 60_000


@dataclass
class Scene:
    """A scene with everything set by hand."""

    ts_ms: int = 0
    night: bool | None = True
    elevation: float | None = -20.0
    silent: int | None = 0
    hour: float | None = 20.5
    day: int | None = 3
    phases: dict[str, str] = field(default_factory=dict)
    members: list[tuple[dict[str, Any], "Scene"]] = field(default_factory=list)

    def sun_elev(self):
        return self.elevation

    def is_night(self, margin_ms):
        return self.night

    def silent_ms(self):
        return self.silent

    def local_hour(self):
        return self.hour

    def weekday(self):
        return self.day

    def in_schedule(self, text):
        schedule = schedule_of(text)
        if schedule is None or self.hour is None:
            return None
        return schedule.holds(self.day * 1440 + int(self.hour * 60))

    def time_to_ms(self, text):
        schedule = schedule_of(text)
        if schedule is None or self.hour is None:
            return None
        minute = self.day * 1440 + int(self.hour * 60)
        starts = [(start - minute) % (7 * 1440) for start, _ in schedule.spans]
        return 0 if schedule.holds(minute) else min(starts) * MINUTE_MS

    def phase(self, rule_id):
        return self.phases.get(rule_id, "ok")

    def peers_values(self, judge):
        values = [judge(values, {}, scene, []) for values, scene in self.members]
        return [value for value in values if value is not None]

    def peers(self, condition):
        truths = [condition(values, {}, scene, []) for values, scene in self.members]
        return Count(
            sum(t is True for t in truths), sum(t is not None for t in truths), len(truths)
        )


def judge_of(text, context=LAMP, **lets):
    names = Names(lets={name: Scalar.of(value) for name, value in lets.items()})
    return compiled(condition(Scalar.of(text), context, names))


def judged(text, values, context=LAMP, attributes=None, scene=None, **lets):
    judge, slots = judge_of(text, context, **lets)
    return judge(values, attributes or {}, scene or Scene(), [None] * slots)


def series(text, samples, context=LAMP, **lets):
    """The values of a condition over (minute, values) samples."""
    judge, slots = judge_of(text, context, **lets)
    memory = [None] * slots
    return [
        judge(values, {}, Scene(ts_ms=int(minute * MINUTE_MS)), memory)
        for minute, values in samples
    ]


def fault_of(text, context=LAMP, **lets):
    names = Names(lets={name: Scalar.of(value) for name, value in lets.items()})
    with pytest.raises(Refused) as caught:
        condition(Scalar.of(text), context, names)
    return caught.value.finding
