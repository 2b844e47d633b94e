"""The roadway: what vehicles feel becomes passes over places, hit or clean.

Pure. Owns the rules about places and the places themselves. A vehicle's window is judged by each
rule's own `hit`; what comes of it is a new reading of the place that it is about. What cannot be
judged gets a reason, and is no pass: neither evidence for a place nor against it.
"""

from collections.abc import Iterable
from typing import Any

from gateway.cases.places import Observation, Place, Places
from gateway.cases.ride import Ride
from gateway.field.devices import Device, Verdict
from gateway.telemetry import Reading
from gateway.values import heard
from rules.rule import PlaceShape, Rule, Scene

News = tuple[Place, dict[str, float]]
"""A place, and what rules see of it now."""


class Roadway:
    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [rule for rule in rules if rule.scope == "place"]
        self.places = Places()

    @property
    def window_ms(self) -> int:
        """Of the rule that remembers longest."""
        return max((_shape(rule).window_ms for rule in self._rules), default=0)

    def restore(self, blobs: Iterable[bytes]) -> list[Place]:
        return self.places.restore(blobs, {rule.id: _shape(rule) for rule in self._rules})

    def take(
        self, device: Device, reading: Reading, ts_ms: int, scene: Scene
    ) -> tuple[str, list[News]]:
        """The verdict, or why it is not judged; and the places that it tells of."""
        values = heard(reading, None, ts_ms)
        assert reading.loc is not None
        ride = device.ride = device.ride or Ride()
        unfit = ride.fault(reading.loc, ts_ms, reading.accel, values)
        if unfit is not None:
            device.note_unfit(unfit)
            return unfit, []
        if "jolt_ms2" in values:
            usual_ms2 = ride.feel(values["jolt_ms2"], values.get("speed_mps"))
            if usual_ms2 is not None:
                values.setdefault("usual_jolt_ms2", usual_ms2)
        told = (self._tell(rule, device.name, reading, ts_ms, scene) for rule in self._rules)
        return Verdict.FRESH, [news for news in told if news is not None]

    def _tell(
        self, rule: Rule, device: str, reading: Reading, ts_ms: int, scene: Scene
    ) -> News | None:
        assert reading.loc is not None
        assert rule.hit is not None
        values: dict[str, Any] = reading.values
        shape = _shape(rule)
        if values.get("speed_mps", shape.speed_mps_min) < shape.speed_mps_min:
            return None
        hit = rule.hit.judge(values, {}, scene, [])
        if hit is None:
            return None
        peak_ms2 = values.get("peak_ms2", 0.0)
        seen = Observation(device, ts_ms, *reading.loc, hit=hit, peak_ms2=peak_ms2)
        seen.heading_deg = values.get("heading_deg")
        return self.places.observe(rule.id, shape, seen)


def _shape(rule: Rule) -> PlaceShape:
    return rule.place or PlaceShape()
