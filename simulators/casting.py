"""Casting: the fault lines of a scenario become faults of single things, each with its truth.

What is named is cast first, the rest is drawn from the seed: by line and number, so that one line
more changes nothing for the others. A drawn thing plays in one story at most; a named one in
several that do not overlap. A rate for which the city or the run is too small is left out, never
squeezed in; what is named or counted must fit, or it is a misfit, told with its place in the file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulators.booking import Booking, Target, fleets_of
from simulators.catalogue import CATALOGUE, Strikes, rule_of
from simulators.city import City
from simulators.dice import dice
from simulators.draw import Draw, Hours, Story, Unfit, span_of
from simulators.faults import Fault, Kind
from simulators.scenario import FaultLine
from simulators.scenario_file import near
from simulators.stories import stories_of
from simulators.things import Circuit, Post, Spot
from simulators.truth import Label

_ORDER = (Strikes.CONCENTRATOR, Strikes.CIRCUIT, Strikes.VEHICLE, Strikes.DEVICE)
# The kind of an asset, by fleet.
_ASSETS = {"lamps": "streetlight", "cabinets": "cabinet", "bins": "bin", "road_sensors": "road"}


@dataclass(frozen=True, slots=True)
class Misfit:
    """A line that cannot be played. `where`: its place in the scenario; `other`: the number of the
    line that is in its way; `is_key`: the key itself is wrong, not its value.
    """

    where: tuple[str | int, ...]
    message: str
    hint: str = ""
    other: int | None = None
    is_key: bool = False


class CastingError(ValueError):
    """A scenario whose faults do not fit its city or its run."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__("\n".join(one.message for one in misfits))
        self.misfits = tuple(misfits)


def cast_faults(city: City) -> tuple[Fault, ...]:
    """All faults of the run, by start. Raises CastingError."""
    faults: list[Fault] = []
    misfits: list[Misfit] = []
    casting = _Casting(Booking(city), Hours(city))
    for number, line, nth in _in_order(city.scenario.faults):
        unread = list(_contradictions(number, line))
        misfits += unread
        if not unread:
            try:
                faults += casting.cast(number, line, nth)
            except Unfit as unfit:
                where = _place(number, line, unfit.key)
                misfits.append(Misfit(where, str(unfit), unfit.hint, unfit.other))
    if misfits:
        raise CastingError(sorted(misfits, key=lambda misfit: misfit.where[1]))
    return tuple(sorted(faults, key=lambda fault: (fault.start_ms, fault.kind, fault.target)))


def _in_order(lines: Sequence[FaultLine]) -> list[tuple[int, FaultLine, int]]:
    """(number, line, how many of its kind stand before): named before drawn, large before small,
    and the road last: it must be known who still drives.
    """
    seen: Counter[Kind] = Counter()
    numbered = []
    for number, line in enumerate(lines):
        numbered.append((number, line, seen[line.kind]))
        seen[line.kind] += 1
    return sorted(numbered, key=lambda one: (*_rank(one[1]), one[0]))


def _rank(line: FaultLine) -> tuple[int, int]:
    strikes, drawn = CATALOGUE[line.kind].strikes, int(line.target is None)
    if strikes is Strikes.SPOT:
        return len(_ORDER) + 2, drawn
    if not drawn:
        return 0, 0
    return 1 + (_ORDER.index(strikes) if strikes in _ORDER else len(_ORDER)), 0


def _place(number: int, line: FaultLine, *key: str) -> tuple[str | int, ...]:
    """Of a value in a line; of the line where it has no such key."""
    name = "for_" if key[0] == "for" else key[0]
    return ("faults", number, *key) if name in line.model_fields_set else ("faults", number)


def _contradictions(number: int, line: FaultLine) -> Iterator[Misfit]:
    """Values that a line cannot have, whatever the city."""
    pairs = (("target", "count"), ("target", "rate"), ("target", "among"), ("count", "rate"),
             ("lasts", "for"))  # fmt: skip
    said = {name.rstrip("_") for name in line.model_fields_set if getattr(line, name) is not None}
    for one, two in pairs:
        if {one, two} <= said and (one != "lasts" or line.lasts):
            where = ("faults", number, two)
            yield Misfit(where, f"{one} and {two} exclude each other", f"keep {one} or {two}")
    if line.among and CATALOGUE[line.kind].strikes is not Strikes.DEVICE:
        what = CATALOGUE[line.kind].strikes.value
        where = ("faults", number, "among")
        yield Misfit(where, f"{line.kind} strikes a {what} anyway", "leave `among` out")
    elif line.among and line.among not in fleets_of(line.kind):
        hint = f"it befalls {', '.join(fleets_of(line.kind))}"
        where = ("faults", number, "among")
        yield Misfit(where, f"{line.kind} does not show on {line.among}", hint)
    extents = CATALOGUE[line.kind].extents
    for name, value in line.extent.items():
        at = ("faults", number, "extent", name)
        if name not in extents:
            message = f"{line.kind} has no extent {name!r}"
            yield Misfit(at, message, near(name, list(extents)), is_key=True)
        elif not extents[name].low <= value <= extents[name].high:
            low, high, unit = extents[name].low, extents[name].high, extents[name].unit
            span = f"{low:g} to {high:g} {unit}".rstrip()
            yield Misfit(at, f"{name} {value:g} is out of range", f"{name}: {span}")


@dataclass(frozen=True)
class _Casting:
    booking: Booking
    hours: Hours

    @property
    def city(self) -> City:
        return self.booking.city

    def cast(self, number: int, line: FaultLine, nth: int) -> Iterator[Fault]:
        """The faults of one line. Raises Unfit."""
        if line.target is not None:
            yield from self._named(number, line, nth, self._target(line, line.target))
            return
        known = self.booking.targets(line.kind, line.among)
        if not known:
            yield from self._nothing_to_strike(line)
        rng = dice(self.city.seed, "casting", line.kind, nth)
        free = iter(rng.sample(known, len(known)))
        for story in range(self._wanted(line, len(known))):
            try:
                drawn = self._next(number, line, nth, story, free)
            except Unfit:
                if line.rate is not None:
                    return
                raise
            if drawn is None and line.rate is None:
                raise Unfit(_too_few(line, story), "a larger city, or fewer faults", "count")
            yield from drawn or ()

    def _nothing_to_strike(self, line: FaultLine) -> Iterator[Fault]:
        if line.rate is None:
            what, key = line.among or CATALOGUE[line.kind].strikes.value, "among"
            raise Unfit(
                f"{line.kind} strikes a {what}, and this city has none", "see `fleets`", key
            )
        yield from ()

    def _wanted(self, line: FaultLine, known: int) -> int:
        if line.rate is None:
            return line.count or 1
        days = self.city.scenario.duration / 86_400
        return max(1, round(line.rate * known * days / 1000)) if known else 0

    def _next(
        self, number: int, line: FaultLine, nth: int, story: int, free: Iterator[Target]
    ) -> list[Fault] | None:
        """On the next thing that is free and has room for it."""
        for target in free:
            if not self.booking.is_free(target):
                continue
            rng = dice(self.city.seed, "story", line.kind, nth, story, target.name)
            found = stories_of(Draw(self.booking, self.hours, line, target, rng, story))
            if found:
                return list(self._book(number, line, target, found))
        return None

    def _named(
        self, number: int, line: FaultLine, nth: int, target: Target
    ) -> Iterator[Fault]:  # fmt: skip
        rng = dice(self.city.seed, "story", line.kind, nth, 0, target.name)
        found = stories_of(Draw(self.booking, self.hours, line, target, rng, 0))
        if not found:
            raise Unfit(f"{line.target} has no room for {line.kind}",
                        "another one, or a longer run", "target")  # fmt: skip
        for story in found:
            other = self.booking.clash(target, span_of(story))
            if other is not None:
                raise Unfit(self._overlap(other), "another time, or another thing", "target", other)
        yield from self._book(number, line, target, found)

    def _overlap(self, other: int) -> str:
        earlier = self.city.scenario.faults[other]
        on = f" on {earlier.target}" if earlier.target else ""
        return f"one truth at a time: it overlaps {earlier.kind}{on}"

    def _book(
        self, number: int, line: FaultLine, target: Target, stories: Sequence[Story]
    ) -> Iterator[Fault]:
        for start, end in stories:
            self.booking.take(target, span_of((start, end)), number)
            labels = tuple(_labels(self.city, line.kind, target, start, end))
            yield Fault(line.kind, target.name, start, end, labels, line.extent)

    def _target(self, line: FaultLine, name: str) -> Target:
        """By its device, asset or own name."""
        known = self.booking.targets(line.kind)
        names: Mapping[str, Target] = {
            known_as: target for target in known for known_as in _names(target)
        }  # fmt: skip
        if name in names:
            return names[name]
        what = CATALOGUE[line.kind].strikes.value
        other = self._other_kind(name)
        raise Unfit(
            f"{name!r} is {other}; {line.kind} strikes a {what}" if other
            else f"there is no {what} {name!r} in this city",
            near(name, sorted(names)), "target",
        )  # fmt: skip

    def _other_kind(self, name: str) -> str:
        for kind in (Kind.SICK, Kind.FEEDER_OUTAGE, Kind.POTHOLE, Kind.MASS_SILENCE):
            for target in self.booking.targets(kind):
                if name in _names(target):
                    return f"one of the {target.fleet.replace('_', ' ')}"
        return ""


def _names(target: Target) -> set[str]:
    return {target.name} | ({target.thing.asset_id} if isinstance(target.thing, Post) else set())


def _too_few(line: FaultLine, placed: int) -> str:
    return f"{placed} of {line.count or 1} {line.kind} can be placed: no other has room for it"


# --- the truth -----------------------------------------------------------------------------------


def _labels(city: City, kind: Kind, target: Target, start: int, end: int | None) -> Iterator[Label]:
    """Of the thing itself first; then those of all that looks faulty with it. None for what has
    neither asset nor place: it can never be filed for.
    """
    entry, thing = CATALOGUE[kind], target.thing
    if isinstance(thing, Spot):
        yield Label(start, end, entry.rule, "", thing.lat, thing.lon, entry.must_file)
    elif isinstance(thing, str):
        for post_kind, post in city.posts():
            rule = {"cabinet": "feeder_outage", "bin": "bin_full"}.get(post_kind)
            if rule and post.concentrator == thing:
                yield _of_asset(post, start, end, rule, must_file=False)
    elif isinstance(thing, Circuit) and entry.strikes is Strikes.CIRCUIT:
        yield _of_asset(thing, start, end, entry.rule, must_file=entry.must_file)
        for_each = {Kind.PHOTOCELL_FAILED: "day_burner"}.get(kind, "lamp_out")
        for lamp in thing.lamps:
            yield _of_asset(lamp, start, end, for_each, must_file=False)
    elif isinstance(thing, Post):
        rule = rule_of(kind, _ASSETS[target.fleet])
        rule = "bin_fire" if (kind, target.fleet) == (Kind.STALE, "bins") else rule
        yield _of_asset(thing, start, end, rule, must_file=entry.must_file)


def _of_asset(
    post: Post, start_ms: int, end_ms: int | None, rule: str, *, must_file: bool
) -> Label:
    """A concentrator's circuits are meant as such: a cabinet's asset bears the circuit's name."""
    return Label(start_ms, end_ms, rule, post.asset_id, post.lat, post.lon, must_file)
