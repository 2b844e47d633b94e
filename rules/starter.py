"""The first file of somebody who writes rules: a template in use, its main inputs filled in.

Guarantees at most twelve lines of YAML in the layout of `rules fmt`; what the template cannot do
without, such as the rule for a single lamp beside that for a circuit, is in it. Text in, text out:
whether given values fit is found by loading it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from rules.document import Scalar
from rules.folding import Kind, one_line
from rules.layout import layout
from rules.templates import NAMES, NONE, Input, Template

SHOWN = 3
"""Inputs on lines of their own, each with what it means."""
OWN = "own_"
"""Before the ids of rules that would otherwise be called like a shipped one."""
_HEAD = """\
# yaml-language-server: $schema=rules.schema.json
apiVersion: sense311/v1
sensor: {sensor}
owner: my-team

rules:
"""


@dataclass(frozen=True, slots=True)
class _Use:
    template: Template
    id: str
    values: Mapping[str, str]


def starter(
    template: Template,
    templates: Mapping[str, Template],
    given: Mapping[str, str],
    *,
    rule_id: str = "",
    sensor: str = "",
    taken: Collection[str] = (),
) -> str:
    """The text of the file. `taken`: ids that it must not use."""
    rule_id = rule_id or free_id(template.name, taken)
    companions = list(_companions(template, templates, rule_id, given, taken))
    named = {name: use.id for name, use in companions}
    uses = [use for _, use in companions]
    values = dict(_values(template, {**given, **named}))
    uses.append(_Use(template, rule_id, values))
    body = "".join(line for use in uses for line in _lines(use, alone=len(uses) == 1))
    text, _ = layout("", _HEAD.format(sensor=sensor or template.sensors[0]) + body)
    assert text is not None, body
    return text


def free_id(name: str, taken: Collection[str]) -> str:
    return OWN + name if name in taken else name


def _companions(
    template: Template,
    templates: Mapping[str, Template],
    rule_id: str,
    given: Mapping[str, str],
    taken: Collection[str],
) -> Iterator[tuple[str, _Use]]:
    """The rules that it refers to by default, made to refer to it."""
    for item in template.inputs.values():
        default = item.default.text if item.default else NONE
        if item.type != "rule" or item.name in given or default not in templates:
            continue
        other = templates[default]
        back = (name for name, found in other.inputs.items() if found.type == "rule")
        yield item.name, _Use(other, free_id(default, taken), dict.fromkeys(back, rule_id))


def _values(template: Template, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What must be given, what was, and the first of the others."""
    must = [item for item in template.inputs.values() if item.default is None]
    shown = {item.name: item.example for item in must} | dict(given)
    for item in template.inputs.values():
        if len(shown) < SHOWN and _is_telling(item, template):
            assert item.default is not None
            shown.setdefault(item.name, item.default.text)
    order = [*template.inputs, *(name for name in shown if name not in template.inputs)]
    yield from ((name, shown[name]) for name in order if name in shown)


def _is_telling(item: Input, template: Template) -> bool:
    """An amount that follows from no other."""
    if item.type in NAMES or item.default is None:
        return False
    return not any(re.search(rf"\b{name}\b", item.default.text) for name in template.inputs)


def _lines(use: _Use, *, alone: bool) -> Iterator[str]:
    yield f"  - use: {use.template.name}\n"
    if use.id != use.template.name:
        yield f"    id: {_said(use.id)}\n"
    if alone and len(use.values) <= SHOWN:
        yield "    with:\n"
        for name, value in use.values.items():
            item = use.template.inputs.get(name)
            yield f"      {name}: {_said(value)}" + (f"  # {item.doc}\n" if item else "\n")
        return
    flow = ", ".join(f"{name}: {_said(value)}" for name, value in use.values.items())
    yield f"    with: {{{flow}}}\n"


def _said(text: str) -> str:
    return one_line(Scalar.of(text), Kind.WORD, in_flow=True) or '""'
