"""Rule files -> Bundle: the rules in force, or all that is wrong with them.

Guarantees that a bundle is whole: one finding of an error and there is none, so that a rule is
never silently missing. Owns what is between rules: one id once, overrides that fit, parents that
know their children, no circles of phases. `load` is pure, text in; only the two `read_` functions
touch files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from rules import settings
from rules.builder import SCOPES, Built, Head, build
from rules.document import Mapping as YamlMapping
from rules.document import Scalar, Sequence, near, read
from rules.expression import constant
from rules.fields import REPORTED_KINDS, by_name
from rules.finding import Finding
from rules.names import Context, Names
from rules.rule import Bundle, Rule
from rules.settings import Param
from rules.syntax import Refused

API_VERSION = "sense311/v1"
OVERRIDES = "(override)"
"""The file that findings about overrides name."""
_KEYS = ("apiVersion", "sensor", "owner", "params", "rules")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ABOUT = MappingProxyType(
    {"streetlight": "a streetlight", "cabinet": "a cabinet", "bin": "a bin", "road": "a vehicle"}
)


@dataclass(slots=True)
class _Sheet:
    """A rule file whose outside is sound."""

    sensor: str
    owner: str
    params: dict[str, Param]
    broken: dict[str, Finding]
    """Params whose definition is wrong."""
    bodies: list[tuple[Scalar, str, YamlMapping]]
    """(id, scope, body) of each rule."""


def load(
    sources: Mapping[str, str], overrides: Mapping[str, str] = _NOTHING
) -> tuple[Bundle | None, list[Finding]]:
    """The rules of some files. `sources`: file name -> YAML text; `overrides`: "RULE.PARAM" ->
    literal ("bin_full.high": "85%"). Findings in the order of the files; any E and the bundle is
    None.
    """
    findings: list[Finding] = []
    sheets = [_sheet(*read(name, sources[name]), findings) for name in sorted(sources)]
    heads = _heads([sheet for sheet in sheets if sheet], overrides, findings)
    built = _built(heads, findings)
    findings += _unused(sheets, heads, built, overrides)
    findings += _relation_faults(built)
    findings = sorted(set(findings), key=lambda f: (f.file, f.line, f.column, f.code, f.message))
    if any(finding.code.startswith("E") for finding in findings):
        return None, findings
    rules = {rule_id: _related(rule_id, built) for rule_id in sorted(built)}
    return Bundle(MappingProxyType(rules), _version(sources, overrides)), findings


def read_library() -> dict[str, str]:
    """The rules that come with the project: file name -> text."""
    folder = files("rules").joinpath("library")
    return {
        entry.name: entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


def read_folder(path: Path) -> dict[str, str]:
    """The rule files (*.yaml) of a folder: path -> text. Raises OSError; what is not UTF-8 comes
    out as text that YAML refuses.
    """
    return {
        str(entry): entry.read_bytes().decode("utf-8", errors="surrogateescape")
        for entry in sorted(path.glob("*.yaml"))
    }


# -- the outside of a file ------------------------------------------------------------------------


def _sheet(
    top: YamlMapping | None, faults: list[Finding], findings: list[Finding]
) -> _Sheet | None:
    findings += faults
    if top is None:
        return None
    findings += top.unknown(_KEYS, "a rule file")
    try:
        version = settings.required(top, "apiVersion", "a rule file")
        settings.choice(version, (API_VERSION,), "apiVersion")
        sensor = settings.required(top, "sensor", "a rule file")
        kind = settings.choice(sensor, REPORTED_KINDS, "sensor")
        owner = top.get("owner")
        owner_text = "" if owner is None else settings.text(owner, "owner").text
        rules = settings.required(top, "rules", "a rule file")
    except Refused as refused:
        findings.append(refused.finding)
        return None
    params, broken = _params(top, kind)
    findings += broken.values()
    return _Sheet(kind, owner_text, params, broken, list(_bodies(rules, findings)))


def _params(top: YamlMapping, kind: str) -> tuple[dict[str, Param], dict[str, Finding]]:
    params: dict[str, Param] = {}
    broken: dict[str, Finding] = {}
    node = top.get("params")
    if node is None:
        return params, broken
    if not isinstance(node, YamlMapping):
        key = top.entries["params"][0]
        return params, {"params": key.finding(0, "E005", "params must be a mapping")}
    taken = dict.fromkeys(by_name(kind), f"a field of {_ABOUT[kind]}")
    for key, value in node.entries.values():
        try:
            params[key.text] = settings.param(key, value, taken)
        except Refused as refused:
            broken[key.text] = refused.finding
    return params, broken


def _bodies(
    rules: YamlMapping | Sequence | Scalar, findings: list[Finding]
) -> Iterator[tuple[Scalar, str, YamlMapping]]:
    if not isinstance(rules, Sequence):
        finding = rules.finding("E005", "") if isinstance(rules, YamlMapping) else None
        place = finding or (rules.finding(0, "E005", "") if isinstance(rules, Scalar) else None)
        if place:
            findings.append(replace(place, message="rules must be a list: each starts with - id:"))
        return
    for item in rules.items:
        try:
            if not isinstance(item, YamlMapping):
                settings.mapping(item, ("id", "title", "when", "..."), "a rule")
            assert isinstance(item, YamlMapping)
            rule_id = settings.word(settings.required(item, "id", "a rule"), "the id of a rule")
            scope = item.get("scope")
            chosen = "asset" if scope is None else settings.choice(scope, SCOPES, "scope")
        except Refused as refused:
            findings.append(refused.finding)
        else:
            yield rule_id, chosen, item


# -- rules ----------------------------------------------------------------------------------------


def _heads(
    sheets: list[_Sheet], overrides: Mapping[str, str], findings: list[Finding]
) -> dict[str, Head]:
    heads: dict[str, Head] = {}
    known: dict[str, dict[str, Param]] = {}
    for sheet in sheets:
        for rule_id, scope, body in sheet.bodies:
            if rule_id.text in heads:
                first = heads[rule_id.text]
                message = f"rule {rule_id.text!r} is in {first.body.page.file}:{first.line} already"
                findings.append(rule_id.finding(0, "E004", message))
                continue
            sensor = _sensor(sheet.sensor, scope, rule_id, findings)
            values = {name: param.default for name, param in sheet.params.items()}
            known[rule_id.text] = sheet.params
            heads[rule_id.text] = Head(
                rule_id.text, scope, sensor, sheet.owner, values, sheet.broken, body, rule_id.line
            )
    for key, literal in overrides.items():
        _override(key, literal, heads, known, findings)
    return heads


def _sensor(sensor: str, scope: str, rule_id: Scalar, findings: list[Finding]) -> str:
    """Whose samples the rule's conditions read: those of a circuit are its cabinet's."""
    fits = {"circuit": ("streetlight", "cabinet"), "place": ("road",)}.get(scope, REPORTED_KINDS)
    if sensor not in fits:
        message = f"a rule of scope {scope} cannot be in a file for sensor {sensor}"
        findings.append(rule_id.finding(0, "E005", message, "sensor: " + " or ".join(fits)))
    return "cabinet" if scope == "circuit" else sensor


def _override(
    key: str,
    literal: str,
    heads: dict[str, Head],
    known: Mapping[str, Mapping[str, Param]],
    findings: list[Finding],
) -> None:
    rule_id, _, name = key.partition(".")
    if rule_id not in heads:
        message = f"{key}: there is no rule {rule_id!r}"
        findings.append(_override_fault(message, near(rule_id, heads)))
        return
    param = known[rule_id].get(name)
    if param is None:
        message = f"{key}: rule {rule_id} has no param {name!r}"
        findings.append(_override_fault(message, near(name, known[rule_id])))
        return
    try:
        value = constant(Scalar.of(literal, OVERRIDES), Names())
    except Refused as refused:
        findings.append(_override_fault(f"{key}: {refused.finding.message}"))
        return
    if reason := param.refusal(value):
        findings.append(_override_fault(f"{key}: {reason}, `{literal}` is not allowed"))
        return
    head = heads[rule_id]
    heads[rule_id] = replace(head, params={**head.params, name: param.folded(value)})


def _override_fault(message: str, hint: str = "") -> Finding:
    return Finding(OVERRIDES, 1, 1, "E006", message, hint)


def _built(heads: Mapping[str, Head], findings: list[Finding]) -> dict[str, Built]:
    built = {}
    for rule_id, head in heads.items():
        built[rule_id] = build(head, _context(head, heads), _HIT)
        findings += built[rule_id].findings
    return built


_HIT = Context("a vehicle's reading", by_name("road"), has_attributes=False, has_history=False)


def _context(head: Head, heads: Mapping[str, Head]) -> Context:
    if head.scope == "place":
        return Context(
            "a spot on the road", by_name("place"), has_attributes=False, has_history=False
        )
    phases = _rules_on(heads, head.scope, head.sensor) - {head.id}
    if head.scope == "circuit":
        lamps = _asset_context("streetlight", _rules_on(heads, "asset", "streetlight"))
        return Context(
            "a circuit", by_name("cabinet"), has_attributes=False, phases=phases, members=lamps
        )
    return _asset_context(head.sensor, phases)


def _asset_context(sensor: str, phases: frozenset[str]) -> Context:
    is_lamp = sensor == "streetlight"
    return Context(_ABOUT[sensor], by_name(sensor), is_lamp=is_lamp, phases=phases)


def _rules_on(heads: Mapping[str, Head], scope: str, sensor: str) -> frozenset[str]:
    return frozenset(h.id for h in heads.values() if (h.scope, h.sensor) == (scope, sensor))


# -- between rules --------------------------------------------------------------------------------


def _unused(
    sheets: list[_Sheet | None],
    heads: Mapping[str, Head],
    built: Mapping[str, Built],
    overrides: Mapping[str, str],
) -> Iterator[Finding]:
    """Params that nothing refers to, overrides that change nothing."""
    for key in overrides:
        rule_id, _, name = key.partition(".")
        head = heads.get(rule_id)
        if head and name in head.params and built[rule_id].rule and name not in built[rule_id].used:
            yield _override_fault(f"{key}: rule {rule_id} does not use {name}")
    for sheet in sheets:
        if sheet is None or not all(built[i.text].rule for i, _, _ in sheet.bodies):
            continue
        used = {name for i, _, _ in sheet.bodies for name in built[i.text].used}
        for name, param in sheet.params.items():
            if name not in used:
                yield param.scalar.finding(0, "W104", f"param {name!r} is not used")


def _relation_faults(built: Mapping[str, Built]) -> Iterator[Finding]:
    for rule_id, one in built.items():
        for parent in one.absorbed_by:
            yield from _one_sided(parent, built, rule_id, "absorbs")
        for child in one.absorbs:
            yield from _one_sided(child, built, rule_id, "absorbed_by")
        if rule_id in _reachable(rule_id, built) and one.rule:
            message = f"rule {rule_id} asks for the phase of a rule that asks for its own"
            yield Finding(*_source(one.rule), 1, "E107", message)


def _one_sided(
    other: Scalar, built: Mapping[str, Built], rule_id: str, key: str
) -> Iterator[Finding]:
    if other.text not in built:
        yield other.finding(0, "E101", f"there is no rule {other.text!r}", near(other.text, built))
        return
    named = built[other.text].absorbs if key == "absorbs" else built[other.text].absorbed_by
    if rule_id not in {scalar.text for scalar in named}:
        hint = f"parent and child must name each other: add {rule_id} to {key} of {other.text}"
        yield other.finding(0, "E007", f"{other.text} does not say so: {key} {rule_id}", hint)


def _reachable(start: str, built: Mapping[str, Built]) -> set[str]:
    found: set[str] = set()
    open_ = [start]
    while open_:
        for other in built[open_.pop()].refers & built.keys() - found:
            found.add(other)
            open_.append(other)
    return found


def _source(rule: Rule) -> tuple[str, int]:
    file, _, line = rule.source.rpartition(":")
    return file, int(line)


def _related(rule_id: str, built: Mapping[str, Built]) -> Rule:
    one = built[rule_id]
    assert one.rule is not None
    parents = tuple(scalar.text for scalar in one.absorbed_by)
    return replace(
        one.rule,
        absorbed_by=parents,
        absorbs=tuple(scalar.text for scalar in one.absorbs),
        hold_ms=max((built[parent].hold_ms for parent in parents), default=0),
    )


def _version(sources: Mapping[str, str], overrides: Mapping[str, str]) -> str:
    digest = blake2b(digest_size=16)
    for name, text in [*sorted(sources.items()), *sorted(overrides.items())]:
        for part in (name, text):
            data = part.encode("utf-8", errors="surrogateescape")
            digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()
