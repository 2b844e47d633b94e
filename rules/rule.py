"""A rule after loading: conditions compiled, durations in milliseconds, nothing left to parse.

Made by `rules.files` from YAML, run by `rules.engine`. Immutable; two rules with the same
`state_hash` may take over each other's running state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from rules.case import Case
from rules.origin import NOWHERE, Origins
from rules.tree import Node

Values = Mapping[str, Any]
"""Wire key -> number or bool. A key that is not there is unknown."""

Truth = bool | None
"""True, false, or unknown (None): Kleene's logic."""

LANGUAGES = ("en", "es", "fr", "zh")
"""Of what the city reads; the first is that of `file.description`."""

MODES = ("live", "shadow")
"""In shadow a rule is judged like any other, and what it would file is only recorded."""


class Scene(Protocol):
    """Where and when a condition is judged: all that is neither in the sample nor in the asset."""

    ts_ms: int

    def sun_elev(self) -> float | None:
        """Elevation of the sun in degrees at the subject, or None where it has no position."""

    def is_night(self, margin_ms: int) -> Truth:
        """Below -6 degrees now, `margin_ms` ago and in `margin_ms`: surely night, no dusk."""

    def silent_ms(self) -> int | None:
        """How long ago the subject last reported, by its own time; None if it never did."""

    def phase(self, rule_id: str) -> str:
        """The phase of the subject's instance of another rule: ok, pending, firing, clearing..."""

    def local_hour(self) -> float | None:
        """Hours since midnight by the clocks there, or None where they are not known."""

    def weekday(self) -> int | None:
        """By the calendar there; 0 is Monday."""

    def in_schedule(self, text: str) -> Truth:
        """Whether the clocks there are within a weekly schedule (`rules.local_time`)."""

    def time_to_ms(self, text: str) -> int | None:
        """Until the clocks there are within a weekly schedule; 0 while they are."""

    def peers(self, condition: "Callable[[Values, Values, Scene, list[Any]], Truth]") -> "Count":
        """Over the members of the subject (the lamps of a circuit): how many meet `condition`."""

    def peers_values(
        self, judge: "Callable[[Values, Values, Scene, list[Any]], Any]"
    ) -> Sequence[float]:
        """Over the members of the subject: what is known of a number, in their order."""


@dataclass(frozen=True, slots=True)
class Count:
    """Members that meet a condition, members for which it is known, members in all."""

    true: int
    known: int
    all: int


Judge = Callable[[Values, Values, Scene, list[Any]], Any]
"""judge(values of the sample, attributes of the asset, scene, slots) -> value or None (unknown).

`slots` is the rule's own memory (the last value of x for `prev(x)`, the last time of c for
`since(c)`), one list for all conditions of a rule, read and written by the compiled code. Entries
are None, bool, int, float or flat tuples of these, so they can be stored."""


@dataclass(frozen=True)
class Condition:
    """An expression, type checked; compiled when it is first asked for `judge`."""

    text: str
    compiled: Callable[[], Judge]
    fields: frozenset[str] = frozenset()
    """Wire keys that it reads."""
    tree: Node | None = None
    """What `judge` is compiled from: for explaining, for columns, for mutation."""
    first_slot: int = 0
    """Where its memories begin in the slots of its rule."""

    @cached_property
    def judge(self) -> Judge:
        return self.compiled()


@dataclass(frozen=True, slots=True)
class Filing:
    """What is asked of the city when the rule fires."""

    service: str
    """The project's own name of the service (STREETLIGHT_OUT); the city profile maps it."""
    description: "Template"
    urgent: bool = False
    """Filed at once: no lateness wait, no storm hold (a burning bin)."""
    translations: Mapping[str, "Template"] = field(default_factory=dict)
    """The description in other languages."""

    def description_in(self, language: str) -> "Template":
        """As it stands in the file where nobody has translated it."""
        return self.translations.get(language, self.description)


@dataclass(frozen=True, slots=True)
class Template:
    """A description with holes: "Drawing {active_power:.0f W} on circuit {asset.circuit}"."""

    text: str
    render: Callable[[Values, Values, Mapping[str, str]], str]
    """render(values at the time of firing, asset attributes, facts) -> text. `facts` holds strings
    such as `started_at`, `firing_for`, `absorbed.count`, `asset.id`; unknown holes read "unknown".
    """


@dataclass(frozen=True, slots=True)
class Note:
    """A param as people read it."""

    value: str
    range: str
    doc: str
    source: str


@dataclass(frozen=True, slots=True)
class PlaceShape:
    """How hits of moving devices become a place."""

    radius_m: float = 12.0
    window_ms: int = 14 * 86_400_000
    pass_gap_ms: int = 600_000
    """Two hits of one device closer in time than this are one pass."""
    speed_mps_min: float = 0.0
    """Who is known to be slower tells nothing, neither hit nor clean pass."""
    half_life_ms: int = 7 * 86_400_000
    """A pass counts half in `hit_share` so long after it."""
    heading_deg_max: float = 45.0
    """Directions of travel that differ by more are two places."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Times in milliseconds of event time."""

    id: str
    title: str
    sensor: str
    scope: str
    """asset | circuit | place"""
    when: Condition
    clear: Condition | None = None
    """None: clear as soon as `when` is false."""
    unless: Condition | None = None
    hit: Condition | None = None
    """Scope place only: judged on each reading of a moving device; true is one hit."""
    place: PlaceShape | None = None
    for_ms: int = 0
    clear_for_ms: int = 0
    samples_min: int = 1
    gap_ms_max: int = 3_600_000
    """A longer gap between samples resets what is pending."""
    blind_after_ms: int | None = None
    lateness_ms: int = 300_000
    """How long filing waits for late samples; none where late samples cannot undo it."""
    monotone: bool = False
    hold_ms: int = 0
    """How long filing waits for a parent fault that would explain this one."""
    absorbed_by: tuple[str, ...] = ()
    absorbs: tuple[str, ...] = ()
    file: Filing | None = None
    """None: the incident is kept and shown, nothing is asked of the city."""
    mode: str = "live"
    """One of `MODES`. Its state is the same in both."""
    on_tick: bool = False
    """Judged when time passes too, not only when a sample comes (uses silence or peers)."""
    silence_ms_min: int = 0
    """For rules on silence: before this much silence the condition cannot hold."""
    memory_ms: int = 0
    """How far back its conditions look: the longest of their windows."""
    slots: tuple[Any, ...] = ()
    """The initial memory of its conditions."""
    params: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Note] = field(default_factory=dict)
    """What may be set from outside, by name."""
    doc: str = ""
    """What it watches and why, for people."""
    fault: str = ""
    """The name of the fault in the uCIFI vocabulary."""
    template: str = ""
    """The template it was made of."""
    owner: str = ""
    source: str = ""
    """file:line"""
    origins: Origins = field(default=NOWHERE, compare=False, repr=False)
    """Where its conditions and settings stand."""
    state_hash: str = ""
    cases: tuple[Case, ...] = ()
    """Its tests."""

    @property
    def in_shadow(self) -> bool:
        return self.mode == "shadow"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The rules in force, by id. `version` changes when any text of any of them does."""

    rules: Mapping[str, Rule]
    version: str
