"""Pages about rules, in Markdown: what a rule watches, when it fires, what it files, how it is set.

Made of the rule as it was loaded, so that a page says what is in force and not what a comment once
said. Also the pages of templates, functions and fields. Text only: writes no files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rules.fields import ATTRIBUTES, HEARD, REPORTED_KINDS, Field
from rules.manual import FunctionDoc, catalogue
from rules.rule import Condition, Note, Rule
from rules.templates import NAMES, Input, Template
from rules.tree import Node, Op
from rules.wording import duration_text, node_text

_SEVERAL = {Op.AND: "all of these", Op.OR: "any of these"}


def rule_page(rule: Rule) -> str:
    """The page of a rule."""
    blocks = [
        f"# {rule.id}",
        rule.title,
        rule.doc,
        "\n".join(_facts(rule)),
        "## When it fires",
        *_condition(rule.hit, "A reading of a vehicle counts as a hit when"),
        *_condition(rule.when, "The fault is there while"),
        *_condition(rule.unless, "It is not believed while"),
        "## In time",
        "\n".join(f"- {line}" for line in _timing(rule)),
        *_condition(rule.clear, "It is over when"),
        "## What is filed",
        *_filed(rule),
    ]
    if rule.absorbs or rule.absorbed_by:
        blocks += ["## With other rules", "\n".join(_relations(rule))]
    if rule.notes:
        blocks += ["## Settings", "\n".join(_settings(rule)), _how_to_set(rule)]
    if rule.cases:
        blocks += ["## Tests", "\n".join(_tests(rule))]
    return _page(blocks)


def template_page(template: Template) -> str:
    """The page of a template."""
    use = [f"- use: {template.name}"]
    must = [item for item in template.inputs.values() if item.default is None]
    if must:
        given = ", ".join(f"{item.name}: {item.example}" for item in must)
        use.append(f"  with: {{{given}}}")
    inputs = [_input_row(item) for item in template.inputs.values()]
    return _page(
        [
            f"# Template {template.name}",
            template.doc,
            f"For sensor {' or '.join(template.sensors)}.",
            "```yaml\n" + "\n".join(use) + "\n```",
            "## Inputs",
            "\n".join(_table(("input", "type", "default", "range", "means", "source"), inputs)),
            f"Begin with `sense311 rules new {template.name} -o FILE`.",
        ]
    )


def function_page(forms: Sequence[FunctionDoc]) -> str:
    """The page of a function, in all of its forms."""
    blocks = [f"# {forms[0].name}"]
    for entry in forms:
        blocks += [f"`{entry.signature}`", entry.doc, f"    {entry.example}"]
    return _page(blocks)


def field_page(name: str) -> str | None:
    """The page of a field, as each kind of sensor has it."""
    rows = [(kind, *_range_of(item)) for kind, item in _fields_named(name)]
    if not rows:
        return None
    return _page([f"# {name}", "\n".join(_table(("of", "unit", "range"), rows))])


def index_page(rules: Iterable[Rule]) -> str:
    """All rules, with links to their pages."""
    rows = [
        (f"[{rule.id}]({rule.id}.md)", rule.title, rule.file.service if rule.file else "")
        for rule in rules
    ]
    return _page(["# Rules", "\n".join(_table(("rule", "what has happened", "files"), rows))])


def subjects(rules: Mapping[str, Rule], templates: Mapping[str, Template]) -> list[str]:
    """All that has a page, besides codes."""
    fields = {item.name for kind in REPORTED_KINDS for item in HEARD[kind].values()}
    functions = {entry.name for entry in catalogue()}
    return sorted({*rules, *templates, *fields, *functions})


def page(name: str, rules: Mapping[str, Rule], templates: Mapping[str, Template]) -> str | None:
    """The page of a rule, template, function or field."""
    if name in rules:
        return rule_page(rules[name])
    if name in templates:
        return template_page(templates[name])
    forms = [entry for entry in catalogue() if entry.name == name]
    return function_page(forms) if forms else field_page(name)


# -- parts of a rule's page -----------------------------------------------------------------------


def _facts(rule: Rule) -> Iterator[str]:
    facts = {
        "sensor": rule.sensor,
        "about": "one asset" if rule.scope == "asset" else f"a {rule.scope}",
        "fault (uCIFI)": rule.fault,
        "mode": rule.mode,
        "owner": rule.owner,
        "template": rule.template,
        "written in": rule.source,
    }
    yield from _table(("", ""), [(name, value) for name, value in facts.items() if value])


def _condition(condition: Condition | None, lead: str) -> Iterator[str]:
    if condition is None:
        return
    yield f"{lead}:\n\n```\n{condition.text}\n```"
    if condition.tree is not None and condition.tree.op in _SEVERAL:
        lead = _SEVERAL[condition.tree.op]
        clauses = (line for part in condition.tree.args for line in _clauses(part, 0))
        yield f"With its values, {lead}:\n\n" + "\n".join(clauses)
    elif condition.tree is not None:
        yield f"With its values: `{node_text(condition.tree)}`."


def _clauses(tree: Node, depth: int) -> Iterator[str]:
    """One bullet a clause."""
    lead = "  " * depth
    if tree.op not in _SEVERAL:
        yield f"{lead}- `{node_text(tree)}`"
        return
    yield f"{lead}- {_SEVERAL[tree.op]}:"
    for part in tree.args:
        yield from _clauses(part, depth + 1)


def _timing(rule: Rule) -> Iterator[str]:
    if rule.for_ms:
        yield f"It must last {duration_text(rule.for_ms)}, by the time of the samples."
    if rule.samples_min > 1:
        yield f"{rule.samples_min} samples must agree."
    yield f"A gap of more than {duration_text(rule.gap_ms_max)} between samples starts it anew."
    if rule.blind_after_ms:
        blind = duration_text(rule.blind_after_ms)
        yield f"After {blind} without samples it is blind: silence never ends a fault."
    if rule.clear is None:
        yield "It is over as soon as it is not true any more."
    elif rule.clear_for_ms:
        yield f"It is over when its end has lasted {duration_text(rule.clear_for_ms)}."


def _filed(rule: Rule) -> Iterator[str]:
    if rule.file is None:
        yield "Nothing: it is kept and shown for the operators."
        return
    urgent = ", at once, with no wait of any kind" if rule.file.urgent else ""
    yield f"One request for service `{rule.file.service}`{urgent}:"
    yield f"> {rule.file.description.text}"
    waits = []
    if rule.lateness_ms and not rule.file.urgent:
        waits.append(f"{duration_text(rule.lateness_ms)} for late samples")
    if rule.hold_ms and not rule.file.urgent:
        waits.append(f"{duration_text(rule.hold_ms)} for a wider fault that explains it")
    if waits:
        yield f"Filing waits {' and '.join(waits)}."
    if rule.mode == "shadow":
        yield "It is in shadow: nothing is filed, what would be is recorded."


def _relations(rule: Rule) -> Iterator[str]:
    for child in rule.absorbs:
        yield f"- [{child}]({child}.md) becomes part of it."
    for parent in rule.absorbed_by:
        yield f"- It becomes part of [{parent}]({parent}.md)."


def _settings(rule: Rule) -> Iterator[str]:
    rows = [(name, *_note(note)) for name, note in rule.notes.items()]
    yield from _table(("name", "value", "range", "means", "source of the default"), rows)


def _note(note: Note) -> tuple[str, ...]:
    return note.value, note.range, note.doc, note.source


def _how_to_set(rule: Rule) -> str:
    name, note = next(iter(rule.notes.items()))
    line = f'"{rule.id}.{name}" = "{note.value}"'
    return f"Set them in the gateway's configuration:\n\n```toml\n[rules.params]\n{line}\n```"


def _tests(rule: Rule) -> Iterator[str]:
    rows = [
        (case.name, str(case.count), "; ".join(e.text for e in case.expectations))
        for case in rule.cases
    ]
    yield from _table(("test", "samples", "expected"), rows)


# -- parts of the others --------------------------------------------------------------------------


def _input_row(item: Input) -> tuple[str, ...]:
    ends = f"{item.ends[0].text} to {item.ends[1].text}" if item.ends else ""
    default = "must be given" if item.default is None else item.default.text
    kind = item.type if item.type in NAMES else item.type.replace("1", "number", 1)
    return item.name, kind, default, ends, item.doc, item.source


def _fields_named(name: str) -> Iterator[tuple[str, Field]]:
    for kind, fields in HEARD.items():
        yield from ((kind, item) for item in fields.values() if item.name == name)
    plain = name.removeprefix("asset.")
    yield from (("asset", item) for item in ATTRIBUTES.values() if item.name == plain)


def _range_of(item: Field) -> tuple[str, str]:
    if item.is_bool:
        return "true or false", ""
    return item.unit.replace("1", "plain number"), f"{item.low:g} to {item.high:g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _page(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"
