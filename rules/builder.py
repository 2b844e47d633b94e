"""One rule: its YAML mapping -> Rule, with every condition typed and compiled.

Guarantees that a Rule comes out only when nothing in it is wrong, and that all that is wrong with
it is found at once. Derives what the author need not say: whether late samples can undo it, whether
time alone can make it true, the hash of its meaning. Relations between rules are not its business.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, TypeVar

from rules import settings
from rules.codegen import condition_of
from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar
from rules.expression import condition
from rules.finding import Finding
from rules.head import Head
from rules.lateness import DOWN, UP, moves
from rules.names import Context, Names
from rules.origin import origins
from rules.reach import memory_ms_of, silence_ms_min_of
from rules.rule import LANGUAGES, MODES, Condition, Filing, PlaceShape, Rule, Template
from rules.syntax import Refused
from rules.template import template
from rules.tree import PEERS, Node, Op, canonical, settled, uses, walk
from rules.units import DEGREE, METRE, METRE_PER_SECOND, Unit

SCOPES = ("asset", "circuit", "zone", "place")
PLACE_KEYS = ("radius", "window", "pass_gap", "min_speed", "half_life", "heading")
FILE_KEYS = ("service", "description", "urgent", "translations")
KEYS = (
    "id", "title", "doc", "fault", "mode", "scope", "let", "when", "unless", "hit", "place", "for",
    "cover", "clear", "no_data", "lateness", "monotone", "identity", "absorbed_by", "absorbs",
    "file", "tests",
)  # fmt: skip
HOLD_MS = 300_000
"""How long a child waits for its parent: the storm hold."""
LETS_MAX = 32
_ADD = MappingProxyType(
    {
        "when": "add when: fill > 80%, say",
        "hit": "add hit: what one reading of a passing vehicle must be, peak > 4 m/s2, say",
    }
)
_SERVICE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_IDENTITY = MappingProxyType({scope: f"{scope}.id" for scope in SCOPES})
_STATEFUL = (
    "for_ms", "clear_for_ms", "samples_min", "gap_ms_max", "blind_after_ms", "place",
)  # fmt: skip
_SAMPLES_MAX = 1000  # more reports than a `for` can sensibly ask for
_DEFAULT = Rule("", "", "", "asset", Condition("", lambda: lambda _v, _a, _x, _s: None))

_T = TypeVar("_T")


@dataclass(slots=True)
class Built:
    """A rule, or None with the reasons; what it says about other rules, for the checks to come."""

    rule: Rule | None
    findings: list[Finding]
    used: frozenset[str]
    """Params."""
    refers: frozenset[str]
    """Rules whose phases its conditions ask for."""
    absorbs: tuple[Scalar, ...] = ()
    absorbed_by: tuple[Scalar, ...] = ()
    hold_ms: int = HOLD_MS


@dataclass(slots=True)
class _Builder:
    head: Head
    context: Context
    hit_context: Context
    names: Names
    findings: list[Finding] = field(default_factory=list)
    trees: dict[str, Node] = field(default_factory=dict)
    slots: int = 0

    def attempt(self, step: Callable[[], _T]) -> _T | None:
        """Run a step; a fault is noted, and the next step is tried all the same."""
        try:
            return step()
        except Refused as refused:
            self.findings.append(refused.finding)
            return None

    def section(self, key: str, keys: tuple[str, ...]) -> Mapping[str, YamlNode]:
        """The entries of a sub-mapping; none when it is missing or wrong."""
        node = self.head.body.get(key)
        if node is None:
            return {}
        found = self.attempt(lambda: settings.mapping(node, keys, key))
        return {} if found is None else {name: value for name, (_, value) in found.entries.items()}

    def duration(self, node: YamlNode | None, default: int, what: str, low_ms: int = 0) -> int:
        if node is None:
            return default
        value = self.attempt(lambda: settings.duration(node, self.names, what, low_ms))
        return default if value is None else value

    def amount(
        self, node: YamlNode | None, default: float, what: str, unit: Unit,
        ends: tuple[float, float],
    ) -> float:  # fmt: skip
        if node is None:
            return default
        value = self.attempt(lambda: settings.amount(node, self.names, what, unit, ends))
        return default if value is None else value

    def condition(self, name: str, node: YamlNode | None, context: Context) -> Condition | None:
        if node is None:
            return None
        return self.attempt(lambda: self._compiled(name, settings.text(node, name), context))

    def _compiled(self, name: str, scalar: Scalar, context: Context) -> Condition:
        tree = condition(scalar, context, self.names)
        tree = settled(tree) if self.head.use else tree
        made, slots = condition_of(scalar.text, tree, self.slots)
        self.slots += slots
        self.trees[name] = tree
        return made


def build(head: Head, context: Context, hit_context: Context) -> Built:
    """The rule of a head. `hit_context`: for `hit` of scope place."""
    builder = _Builder(head, context, hit_context, head.names())
    builder.findings += head.body.unknown(KEYS, "a rule")
    _lets(builder)
    parts = _conditions(builder) | _timing(builder) | _texts(builder)
    _check_identity(builder)
    relations = _relations(builder)
    _check_lets(builder)
    findings = [*builder.findings, *builder.names.warnings]
    refers = frozenset(rule for tree in builder.trees.values() for rule in _referred(tree))
    whole = not any(finding.code.startswith("E") for finding in findings)
    rule = _assembled(builder, parts) if whole else None
    return Built(rule, findings, frozenset(builder.names.used), refers, **relations)


def _lets(builder: _Builder) -> None:
    if builder.head.use:
        builder.names.lets = builder.head.use.lets
    node = builder.head.body.get("let")
    if node is None:
        return
    if not isinstance(node, YamlMapping) or len(node.entries) > LETS_MAX:
        message = f"let must be a mapping of at most {LETS_MAX} names"
        hint = "let: {name: expression}"
        builder.findings.append(settings.at(node, "E005", message, hint))
        return
    lets: dict[str, Scalar] = {}
    for key, value in node.entries.values():
        name = builder.attempt(partial(settings.word, key, "a let name"))
        scalar = builder.attempt(partial(settings.text, value, "a let"))
        if name is None or scalar is None:
            continue
        if name.text in builder.context.fields or name.text in builder.head.params:
            message = f"{name.text!r} is a field or a param already"
            hint = f"another name, such as my_{name.text}"
            builder.findings.append(name.finding(0, "E004", message, hint))
        lets[name.text] = scalar
    builder.names.lets = {**builder.names.lets, **lets}


def _check_lets(builder: _Builder) -> None:
    """Names that nothing refers to."""
    node = builder.head.body.get("let")
    if isinstance(node, YamlMapping) and not builder.findings:
        used = {name for name, _ in builder.names.known}
        for name, (key, _) in node.entries.items():
            if name not in used:
                builder.findings.append(
                    key.finding(0, "W104", f"{name!r} is not used", "remove it")
                )


def _conditions(builder: _Builder) -> dict[str, Any]:
    body = builder.head.body
    place = builder.head.scope == "place"
    for key in ("when", *(("hit",) if place else ())):
        if body.get(key) is None:
            builder.findings.append(
                body.finding("E003", f"a rule needs the key {key!r}", _ADD[key])
            )
    for key in () if place else ("hit", "place"):
        if body.get(key) is not None:
            message = f"{key!r} is for rules of scope place"
            builder.findings.append(
                body.entries[key][0].finding(0, "E002", message, "add scope: place")
            )
    clear = builder.section("clear", ("when", "for"))
    return {
        "when": builder.condition("when", body.get("when"), builder.context),
        "unless": builder.condition("unless", body.get("unless"), builder.context),
        "clear": builder.condition("clear", clear.get("when"), builder.context),
        "hit": builder.condition("hit", body.get("hit"), builder.hit_context) if place else None,
        "clear_for_ms": builder.duration(clear.get("for"), 0, "clear.for"),
    }


def _timing(builder: _Builder) -> dict[str, Any]:
    body = builder.head.body
    cover = builder.section("cover", ("min_samples", "max_gap"))
    samples = cover.get("min_samples")
    found = None
    if samples is not None:
        found = builder.attempt(
            lambda: settings.whole(samples, builder.names, "min_samples", 1, _SAMPLES_MAX)
        )
    hold = builder.section("no_data", ("hold",)).get("hold")
    return {
        "for_ms": builder.duration(body.get("for"), 0, "for"),
        "samples_min": found or 1,
        "gap_ms_max": builder.duration(cover.get("max_gap"), _DEFAULT.gap_ms_max, "max_gap", 1),
        "blind_after_ms": builder.duration(hold, 0, "no_data.hold", 1) if hold else None,
        "lateness_ms": builder.duration(body.get("lateness"), _DEFAULT.lateness_ms, "lateness"),
        "place": _place(builder) if builder.head.scope == "place" else None,
        "monotone": _may_be_monotone(builder),
    }


def _place(builder: _Builder) -> PlaceShape:
    section = builder.section("place", PLACE_KEYS)
    shape = PlaceShape()
    return PlaceShape(
        builder.amount(section.get("radius"), shape.radius_m, "radius", METRE, (1, 200)),
        builder.duration(section.get("window"), shape.window_ms, "window", 1),
        builder.duration(section.get("pass_gap"), shape.pass_gap_ms, "pass_gap"),
        builder.amount(
            section.get("min_speed"), shape.speed_mps_min, "min_speed", METRE_PER_SECOND, (0, 40)
        ),
        builder.duration(section.get("half_life"), shape.half_life_ms, "half_life", 60_000),
        builder.amount(section.get("heading"), shape.heading_deg_max, "heading", DEGREE, (10, 180)),
    )


def _texts(builder: _Builder) -> dict[str, Any]:
    head, context, names = builder.head, builder.context, builder.names
    title = builder.attempt(
        lambda: template(
            settings.text(settings.required(head.body, "title", "a rule"), "title"), context, names
        )
    )
    mode = head.body.get("mode")
    chosen = mode and builder.attempt(lambda: settings.choice(mode, MODES, "mode"))
    return {
        "title": title.text if title else "",
        "file": _filing(builder),
        "mode": chosen or _DEFAULT.mode,
        "doc": _plain(builder, "doc") or (head.use.template.doc if head.use else ""),
        "fault": _plain(builder, "fault"),
    }


def _plain(builder: _Builder, key: str) -> str:
    node = builder.head.body.get(key)
    found = None if node is None else builder.attempt(lambda: settings.text(node, key))
    return found.text if found else ""


def _filing(builder: _Builder) -> Filing | None:
    node = builder.head.body.get("file")
    if node is None:
        return None

    def filing() -> Filing:
        keys = settings.mapping(node, FILE_KEYS, "file")
        service = settings.word(settings.required(keys, "service", "file"), "a service", _SERVICE)
        text = settings.text(settings.required(keys, "description", "file"), "description")
        urgent = keys.get("urgent")
        return Filing(
            service.text,
            template(text, builder.context, builder.names),
            urgent is not None and settings.truth(urgent, builder.names, "urgent"),
            _translations(builder, keys),
        )

    return builder.attempt(filing)


def _translations(builder: _Builder, keys: YamlMapping) -> dict[str, Template]:
    node = keys.get("translations")
    if node is None:
        return {}
    given = settings.mapping(node, LANGUAGES[1:], "translations").entries
    return {
        language: template(settings.text(text, language), builder.context, builder.names)
        for language, (_, text) in given.items()
    }


def _check_identity(builder: _Builder) -> None:
    node = builder.head.body.get("identity")
    scalars = None if node is None else builder.attempt(lambda: settings.words(node, "identity"))
    wanted = _IDENTITY[builder.head.scope]
    if scalars is None or [scalar.text for scalar in scalars] == [wanted]:
        return
    wrong = next((scalar for scalar in scalars if scalar.text != wanted), None)
    message = f"the identity of a rule of scope {builder.head.scope} is [{wanted}]"
    hint = f"write identity: [{wanted}]"
    if wrong is None:
        key = builder.head.body.entries["identity"][0]
        builder.findings.append(key.finding(0, "E210", message, hint))
        return
    measured = wrong.text in builder.context.fields or wrong.text in builder.hit_context.fields
    reason = f"{wrong.text!r} is measured: it would make a new fault of each value"
    builder.findings.append(wrong.finding(0, "E210", reason if measured else message, hint))


def _relations(builder: _Builder) -> dict[str, Any]:
    parents = builder.head.body.get("absorbed_by")
    section = builder.section("absorbs", ("rules", "hold"))
    children = section.get("rules")
    absorbed_by = absorbs = None
    for key in ("absorbs", "absorbed_by") if builder.head.scope == "zone" else ():
        if key in builder.head.body.entries:
            message = "a rule of scope zone explains no other rule, and none explains it"
            found = builder.head.body.entries[key][0].finding(0, "E002", message, "leave it out")
            builder.findings.append(found)
    if parents is not None:
        absorbed_by = builder.attempt(lambda: settings.words(parents, "absorbed_by"))
    if children is not None:
        absorbs = builder.attempt(lambda: settings.words(children, "absorbs.rules"))
    return {
        "absorbed_by": tuple(absorbed_by or ()),
        "absorbs": tuple(absorbs or ()),
        "hold_ms": builder.duration(section.get("hold"), HOLD_MS, "absorbs.hold"),
    }


def _assembled(builder: _Builder, parts: dict[str, Any]) -> Rule:
    head, trees = builder.head, builder.trees
    monotone = _monotone(builder, parts)
    parts["monotone"] = monotone
    if monotone:
        parts["lateness_ms"] = 0
    asked = [trees[name] for name in ("when", "unless", "clear") if name in trees]
    return Rule(
        id=head.id,
        sensor=head.sensor,
        scope=head.scope,
        on_tick=any(uses(tree, Op.SILENT, Op.PHASE, *PEERS) for tree in asked),
        silence_ms_min=silence_ms_min_of(trees["when"]),
        memory_ms=max(map(memory_ms_of, asked)),
        slots=(None,) * builder.slots,
        params={name: settings.shown(head.params[name]) for name in sorted(builder.names.used)},
        notes=head.notes(),
        template=head.use.template.name if head.use else "",
        owner=head.owner,
        source=f"{head.body.page.file}:{head.line}",
        origins=origins(head.body, head.home, builder.names.lets),
        state_hash=_state_hash(head, trees, parts),
        **parts,
    )


def _monotone(builder: _Builder, parts: dict[str, Any]) -> bool:
    """One sample decides, and no late one can undo it."""
    when, unless = builder.trees["when"], builder.trees.get("unless")
    by_one_sample = parts["for_ms"] == 0 and parts["samples_min"] == 1
    stays = not moves(when) & DOWN and not (unless and moves(unless) & UP)
    return by_one_sample and stays and bool(parts["monotone"])


def _may_be_monotone(builder: _Builder) -> bool:
    """`monotone: false` in the file: filing waits for late samples all the same."""
    node = builder.head.body.get("monotone")
    if node is None:
        return True
    allowed = builder.attempt(lambda: settings.truth(node, builder.names, "monotone"))
    return allowed is not False


def _state_hash(head: Head, trees: Mapping[str, Node], parts: Mapping[str, Any]) -> str:
    """Of the meaning: blanks, titles and descriptions do not count."""
    meaning = [head.id, head.sensor, head.scope]
    meaning += [f"{name} {canonical(trees[name])}" for name in sorted(trees)]
    meaning += [f"{name} {parts[name]}" for name in _STATEFUL]
    return blake2b("\n".join(meaning).encode(), digest_size=16).hexdigest()


def _referred(tree: Node) -> set[str]:
    details = (part.detail for part in walk(tree) if part.op is Op.PHASE)
    return {str(detail[0]) for detail in details if isinstance(detail, tuple)}
