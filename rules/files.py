"""Rule files -> Bundle: the rules in force, or all that is wrong with them.

Guarantees that a bundle is whole: one finding of an error and there is none, so that a rule is
never silently missing. Owns what is between rules: one id once, overrides that fit, parents that
know their children, no circles of phases. `load` is pure, text in; only the two `read_` functions
touch files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rules import settings
from rules.builder import SCOPES, Built, build
from rules.document import Mapping as YamlMapping
from rules.document import Scalar, Sequence, near, read
from rules.expression import constant
from rules.fields import REPORTED_KINDS, by_name
from rules.finding import Finding
from rules.head import Head
from rules.names import Context, Names
from rules.relations import related, relation_faults
from rules.rule import Bundle
from rules.settings import Param
from rules.suites import add_tests
from rules.syntax import Refused
from rules.templates import Template, Use, expand, read_template, template_of

API_VERSION = "sense311/v1"
RULES_MAX = 60  # with the next: what a slow machine refuses in a tenth of a second
CONDITIONS_MAX = 6_000  # characters
"""Of one file: whatever is wrong with it is found in a tenth of a second."""
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
    bodies: list[tuple[Scalar, str, YamlMapping, Use | None]] = field(default_factory=list)
    """(id, scope, body, template) of each rule."""


class Loaded(NamedTuple):
    """A bundle and what it was made of: for `rules.checks`, which looks closer."""

    bundle: Bundle | None
    findings: list[Finding]
    heads: Mapping[str, Head]
    contexts: Mapping[str, Context]
    built: Mapping[str, Built]


def load(
    sources: Mapping[str, str], overrides: Mapping[str, str] = _NOTHING
) -> tuple[Bundle | None, list[Finding]]:
    """The bundle of `loaded`, and its findings."""
    whole = loaded(sources, overrides)
    return whole.bundle, whole.findings


def loaded(sources: Mapping[str, str], overrides: Mapping[str, str] = _NOTHING) -> Loaded:
    """The rules of some files. `sources`: file name -> YAML text; `overrides`: "RULE.PARAM" ->
    literal ("bin_full.high": "85%"). Findings in the order of the files; any E and the bundle is
    None.
    """
    findings: list[Finding] = []
    templates = dict(shipped_templates())
    tops = [(name, *read(name, sources[name])) for name in sorted(sources)]
    for name, top, faults in tops:
        findings += faults
        if top is not None and "template" in top.entries:
            _own_template(top, sources[name], templates, findings)
    sheets = [
        _sheet(top, templates, findings)
        for _, top, _ in tops
        if top is not None and "template" not in top.entries
    ]
    heads = _heads([sheet for sheet in sheets if sheet], overrides, findings)
    contexts = contexts_of(heads)
    built = _built(heads, contexts, findings)
    findings += _unused(sheets, heads, built, overrides)
    findings += relation_faults(built, heads)
    findings += add_tests(heads, built, broken=any(one.is_error for one in findings))
    findings = sorted(set(findings), key=lambda f: (f.file, f.line, f.column, f.code, f.message))
    if any(one.is_error for one in findings):
        return Loaded(None, findings, heads, contexts, built)
    rules = {rule_id: related(rule_id, built) for rule_id in sorted(built)}
    used = {f"use {name}": templates[name].text for name in _used_templates(heads)}
    version = _version({**sources, **used}, overrides)
    bundle = Bundle(MappingProxyType(rules), version)
    return Loaded(bundle, findings, heads, contexts, built)


def read_library() -> dict[str, str]:
    """The rules that come with the project: file name -> text."""
    folder = files("rules").joinpath("library")
    return {
        entry.name: entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


@cache
def shipped_templates() -> Mapping[str, Template]:
    """The templates that come with the project, by name."""
    folder = files("rules").joinpath("library", "templates")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            template, faults = read_template(f"templates/{entry.name}", entry.read_text("utf-8"))
            assert template is not None, faults
            found[template.name] = template
    return MappingProxyType(found)


def read_folder(path: Path) -> dict[str, str]:
    """The rule files (*.yaml) of a folder: path -> text. Raises OSError; what is not UTF-8 comes
    out as text that YAML refuses.
    """
    return {
        str(entry): entry.read_bytes().decode("utf-8", errors="surrogateescape")
        for entry in sorted(path.glob("*.yaml"))
    }


# -- the outside of a file ------------------------------------------------------------------------


def _own_template(
    top: YamlMapping, text: str, templates: dict[str, Template], findings: list[Finding]
) -> None:
    template, faults = template_of(top, text)
    findings += faults
    if template is None:
        return
    if template.name in templates:
        name = settings.text(settings.required(top, "template", "a template"), "template")
        message = f"there is a template {template.name!r} already"
        findings.append(name.finding(0, "E004", message, "give it another name"))
    templates[template.name] = template


def _used_templates(heads: Mapping[str, Head]) -> set[str]:
    return {head.use.template.name for head in heads.values() if head.use}


def _sheet(
    top: YamlMapping, templates: Mapping[str, Template], findings: list[Finding]
) -> _Sheet | None:
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
    bodies = list(_bodies(rules, kind, templates, findings))
    return _Sheet(kind, owner_text, params, broken, bodies)


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
    rules: YamlMapping | Sequence | Scalar,
    sensor: str,
    templates: Mapping[str, Template],
    findings: list[Finding],
) -> Iterator[tuple[Scalar, str, YamlMapping, Use | None]]:
    if not isinstance(rules, Sequence):
        hint = "begin each rule with - id:"
        findings.append(settings.at(rules, "E005", "rules must be a list", hint))
        return
    written = 0
    for count, item in enumerate(rules.items):
        written += _conditions_length(item)
        if count >= RULES_MAX or written > CONDITIONS_MAX:
            message = f"more than {RULES_MAX} rules or {CONDITIONS_MAX} characters of conditions"
            hint = "split the file: the rules of a folder are one bundle"
            findings.append(settings.at(item, "E005", message, hint))
            return
        try:
            if not isinstance(item, YamlMapping):
                settings.mapping(item, ("id", "title", "when", "..."), "a rule")
            assert isinstance(item, YamlMapping)
            use = expand(item, sensor, templates) if "use" in item.entries else None
            body = use.body if use else item
            named = use.id if use else settings.required(item, "id", "a rule")
            written += _conditions_length(body) if use else 0
            rule_id = settings.word(named, "the id of a rule")
            scope = body.get("scope")
            chosen = "asset" if scope is None else settings.choice(scope, SCOPES, "scope")
        except Refused as refused:
            findings.append(refused.finding)
        else:
            yield rule_id, chosen, body, use


def _conditions_length(item: YamlMapping | Sequence | Scalar) -> int:
    """How much there is to type and compile: what the time to judge a file depends on."""
    if not isinstance(item, YamlMapping):
        return 0
    clear, lets = item.get("clear"), item.get("let")
    parts = [item.get(key) for key in ("when", "unless", "hit")]
    for inner in (clear, lets):
        if isinstance(inner, YamlMapping):
            parts += [value for _, value in inner.entries.values()]
    return sum(len(part.text) for part in parts if isinstance(part, Scalar))


# -- rules ----------------------------------------------------------------------------------------


def _heads(
    sheets: list[_Sheet], overrides: Mapping[str, str], findings: list[Finding]
) -> dict[str, Head]:
    heads: dict[str, Head] = {}
    for sheet in sheets:
        for rule_id, scope, body, use in sheet.bodies:
            if rule_id.text in heads:
                first = heads[rule_id.text]
                message = f"rule {rule_id.text!r} is in {first.body.page.file}:{first.line} already"
                findings.append(rule_id.finding(0, "E004", message, "each id once, over all files"))
                continue
            sensor = _sensor(sheet.sensor, scope, rule_id, findings)
            params = use.params if use else sheet.params
            values = {name: param.default for name, param in params.items()}
            broken = {} if use else sheet.broken
            place = (body, rule_id.line, params, use)
            heads[rule_id.text] = Head(
                rule_id.text, scope, sensor, sheet.owner, values, broken, *place
            )
    for key, literal in overrides.items():
        _override(key, literal, heads, findings)
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
    findings: list[Finding],
) -> None:
    rule_id, _, name = key.partition(".")
    if rule_id not in heads:
        message = f"{key}: there is no rule {rule_id!r}"
        findings.append(_override_fault(message, near(rule_id, heads)))
        return
    known = heads[rule_id].known
    param = known.get(name)
    if param is None:
        message = f"{key}: rule {rule_id} has no param {name!r}"
        findings.append(_override_fault(message, near(name, known)))
        return
    try:
        value = constant(Scalar.of(literal, OVERRIDES), Names())
    except Refused as refused:
        findings.append(_override_fault(f"{key}: {refused.finding.message}"))
        return
    if reason := param.refusal(value):
        findings.append(_override_fault(f"{key}: {reason}, `{literal}` is not allowed"))
        return
    heads[rule_id] = heads[rule_id].having(name, param.folded(value))


def _override_fault(message: str, hint: str = "") -> Finding:
    return Finding(OVERRIDES, 1, 1, "E006", message, hint)


def _built(
    heads: Mapping[str, Head], contexts: Mapping[str, Context], findings: list[Finding]
) -> dict[str, Built]:
    built = {}
    for rule_id, head in heads.items():
        built[rule_id] = build(head, contexts[rule_id], HIT)
        findings += built[rule_id].findings
    return built


HIT = Context("a vehicle's reading", by_name("road"), has_attributes=False, has_history=False)
PLACE = Context("a spot on the road", by_name("place"), has_attributes=False, has_history=False)
_NO_RULES: frozenset[str] = frozenset()


def contexts_of(heads: Mapping[str, Head]) -> dict[str, Context]:
    """What the conditions of each rule are about, by rule."""
    ids: dict[tuple[str, str], set[str]] = {}
    for head in heads.values():
        ids.setdefault((head.scope, head.sensor), set()).add(head.id)
    groups = {group: frozenset(some) for group, some in ids.items()}
    return {head.id: _context(head, groups) for head in heads.values()}


def _context(head: Head, rules: Mapping[tuple[str, str], frozenset[str]]) -> Context:
    """`rules`: ids by scope and sensor."""
    if head.scope == "place":
        return PLACE
    phases = rules[head.scope, head.sensor] - {head.id}
    if head.scope == "circuit":
        lamps = _asset_context("streetlight", rules.get(("asset", "streetlight"), _NO_RULES))
        return Context(
            "a circuit", by_name("cabinet"), has_attributes=False, phases=phases, members=lamps
        )
    if head.scope == "zone":
        members = _asset_context(head.sensor, rules.get(("asset", head.sensor), _NO_RULES))
        return Context(
            "a zone", {}, has_attributes=False, has_history=False, phases=phases, members=members
        )
    return _asset_context(head.sensor, phases)


def _asset_context(sensor: str, phases: frozenset[str]) -> Context:
    is_lamp = sensor == "streetlight"
    return Context(_ABOUT[sensor], by_name(sensor), is_lamp=is_lamp, phases=phases)


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
        if head is None or head.use or name not in head.params:
            continue
        if built[rule_id].rule and name not in built[rule_id].used:
            yield _override_fault(f"{key}: rule {rule_id} does not use {name}")
    for sheet in sheets:
        if sheet is None or not all(built[i.text].rule for i, *_ in sheet.bodies):
            continue
        used = {name for i, *_ in sheet.bodies for name in built[i.text].used}
        for name, param in sheet.params.items():
            if name not in used:
                yield param.scalar.finding(0, "W104", f"param {name!r} is not used", "remove it")


def _version(sources: Mapping[str, str], overrides: Mapping[str, str]) -> str:
    digest = blake2b(digest_size=16)
    for name, text in [*sorted(sources.items()), *sorted(overrides.items())]:
        for part in (name, text):
            data = part.encode("utf-8", errors="surrogateescape")
            digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()
