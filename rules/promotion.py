"""Promotion: a rule's `mode` changed in its own file, and nothing else.

Pure, text in and text out. The word is put where it stands by position, so comments, quotes, line
ends and order stay as their author left them. The result is loaded again before it counts: it
differs from what was there in that rule's mode alone, or there is none.
"""

from collections.abc import Mapping
from typing import NamedTuple

from rules.document import Mapping as YamlMapping
from rules.document import Scalar, Sequence, near, read
from rules.files import load
from rules.finding import Finding
from rules.plan import changes
from rules.rule import Bundle

_NOTHING: Mapping[str, str] = {}


class Edit(NamedTuple):
    """The file that holds the rule, and its text with the mode as it is asked for."""

    file: str
    text: str


def with_mode(
    rule_id: str, mode: str, sources: Mapping[str, str], params: Mapping[str, str] = _NOTHING
) -> tuple[Edit | None, list[Finding]]:
    """`sources` with that rule in that mode: the one file that changes. None: with the findings."""
    before, findings = load(sources, params)
    if before is None:
        return None, findings
    found = _rule_in(rule_id, sources)
    if found is None:
        hint = near(rule_id, before.rules)
        return None, [Finding(", ".join(sources), 1, 1, "E101", f"no rule {rule_id!r}", hint)]
    file, body, first = found
    edit = Edit(file, _edited(sources[file], body, first, mode))
    after, findings = load({**sources, file: edit.text}, params)
    if after is None or not _differ_in_mode_only(before, after, rule_id, mode):
        message = f"the mode of {rule_id} cannot be set by position here"
        help_ = f"write `mode: {mode}` yourself, on a line of its own below its id"
        return None, [Finding(file, first.line, 1, "E005", message, help_)]
    return edit, []


def _rule_in(rule_id: str, sources: Mapping[str, str]) -> tuple[str, YamlMapping, Scalar] | None:
    """The file, the mapping, and the word after which a mode can be put."""
    for file in sorted(sources):
        top, _ = read(file, sources[file])
        rules = top.get("rules") if top else None
        for body in rules.items if isinstance(rules, Sequence) else ():
            if isinstance(body, YamlMapping):
                # What a rule goes by: its id, or else the template that it uses.
                name = body.get("id") or body.get("use")
                if isinstance(name, Scalar) and name.text == rule_id:
                    return file, body, name
    return None


def _edited(text: str, body: YamlMapping, first: Scalar, mode: str) -> str:
    there = body.get("mode")
    if isinstance(there, Scalar):
        start, end = there.span
        return text[:start] + mode + text[end:]
    start, end = first.span
    if body.is_flow:
        return f"{text[:end]}, mode: {mode}{text[end:]}"
    key = next(key for key, value in body.entries.values() if value is first)
    column = key.at(0)[1] - 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    newline = "\r\n" if text[:line_end].endswith("\r") else "\n"
    at = line_end - (newline == "\r\n")
    return f"{text[:at]}{newline}{' ' * column}mode: {mode}{text[at:]}"


def _differ_in_mode_only(before: Bundle, after: Bundle, rule_id: str, mode: str) -> bool:
    rule = after.rules.get(rule_id)
    parts = [part for change in changes(before, after) for part in change.parts]
    return rule is not None and rule.mode == mode and {part.key for part in parts} <= {"mode"}
