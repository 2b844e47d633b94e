"""Which tests a rule has: those written beside it, and those that its template brings.

Guarantees that all are read before a bundle stands, in an order that finds a fault soon: first what
was written by hand, then the many tests of templates, once for all uses that give the same inputs.
How one test is read is the business of `rules.cases`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules import head as rule_head
from rules import settings
from rules.builder import Built
from rules.case import Case
from rules.cases import KEYS, Head, cases, twice
from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.finding import Finding
from rules.names import Names
from rules.syntax import Refused
from rules.templates import Use
from rules.tree import canonical

_Key = tuple[object, ...]
"""The same for uses to which a template brings the same tests."""


@dataclass(slots=True)
class _Suite:
    """The tests of one rule."""

    head: Head
    rule: rule_head.Head
    written: list[YamlMapping]
    found: list[Case]
    brought: list[Case] = field(default_factory=list)


def add_tests(
    heads: Mapping[str, rule_head.Head], built: Mapping[str, Built], *, broken: bool
) -> list[Finding]:
    """Give the rules that were built their tests; what is wrong with these. The many that templates
    bring are read last, and not at all where something is wrong already (`broken`).
    """
    findings: list[Finding] = []
    suites = _suites(heads, findings)
    known: dict[_Key, list[Case]] = {}
    for suite in suites:
        if suite.rule.use and not broken and not findings:
            suite.brought = _brought(suite, suite.rule.use, known, findings)
    for suite in suites:
        one = built[suite.head.rule]
        if one.rule is not None and not findings:
            one.rule = replace(one.rule, cases=(*suite.brought, *suite.found))
    return findings


def _suites(heads: Mapping[str, rule_head.Head], findings: list[Finding]) -> list[_Suite]:
    """With what was written by hand."""
    suites = []
    rules = frozenset(heads)
    examples: dict[str, YamlMapping] = {}
    for head in heads.values():
        # The tests of a template speak of its own inputs: they neither lend nor borrow.
        file = "" if head.use else head.body.page.file
        try:
            written = _written(head)
            first = next(map(_test, head.use.tests()), None) if head.use and written else None
        except Refused as refused:
            findings.append(refused.finding)
            continue
        faults: list[Finding] = []
        about = _head(head, rules, examples.get(file))
        found = list(cases(written, first or written[0], about, faults)) if written else []
        if file and written and not faults:
            examples.setdefault(file, written[0])
        findings += faults
        suites.append(_Suite(about, head, written, found))
    return suites


def _written(head: rule_head.Head) -> list[YamlMapping]:
    node = head.body.get("tests")
    return [] if node is None else [_test(item) for item in settings.tests(node)]


def _test(node: YamlNode) -> YamlMapping:
    return settings.mapping(node, KEYS, "a test")


def _key(head: rule_head.Head, use: Use) -> _Key:
    given = tuple((name, scalar.text) for name, scalar in sorted(use.given.items()))
    params = tuple((name, canonical(value)) for name, value in sorted(head.params.items()))
    return use.template.name, head.sensor, head.scope, given, params


def _brought(
    suite: _Suite, use: Use, known: dict[_Key, list[Case]], findings: list[Finding]
) -> list[Case]:
    """The tests of a template for these inputs; read once for all uses that give the same."""
    key = _key(suite.rule, use)
    if key not in known:
        try:
            tests = [_test(node) for node in use.tests()]
        except Refused as refused:
            findings.append(refused.finding)
            return []
        known[key] = list(cases(tests, tests[0], suite.head, findings)) if tests else []
    names = {case.name for case in known[key]}
    for case, own in zip(suite.found, suite.written, strict=False):
        if case.name in names:
            findings.append(twice(own, case.name))
    return [replace(case, rule=suite.head.rule) for case in known[key]]


def _head(head: rule_head.Head, rules: frozenset[str], example: YamlMapping | None) -> Head:
    kind = {"circuit": "streetlight", "place": "road"}.get(head.scope, head.sensor)

    def names() -> Names:
        own = head.names()
        own.lets = head.use.lets if head.use else {}
        return own

    return Head(head.id, head.scope, kind, rules, names, example)
