"""What each code of a finding means, with an example of wrong and of right.

Owns the table (codes.yaml) and its pages: `sense311 rules docs E104` shows `page("E104")`. Tests
hold the table against the code: every code that a rule file can get is in it, every example of
wrong gets its code, every example of right does not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from rules.document import Mapping as YamlMapping
from rules.document import Scalar, near, read

_FILE_BEGINS = "apiVersion:"
_FRAME = """\
apiVersion: sense311/v1
sensor: bin
owner: waste-ops
rules:
"""
_RULE = MappingProxyType(
    {
        "id": "id: bin_full",
        "title": 'title: "Bin {asset.id} is full"',
        "when": "when: fill >= 80%",
        "cover": "cover: {min_samples: 2}",
        "clear": "clear: {when: fill < 70%, for: 10min}",
        "no_data": "no_data: {hold: 48h}",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """`wrong` and `right`: keys of a rule, or whole files; "" where no file can show it."""

    code: str
    title: str
    means: str
    wrong: str
    right: str


@cache
def codes() -> Mapping[str, Entry]:
    """Every code that a finding about rules can have."""
    text = files("rules").joinpath("codes.yaml").read_text("utf-8")
    top, findings = read("codes.yaml", text)
    assert top is not None, findings
    return MappingProxyType({code: _entry(code, node) for code, (_, node) in top.entries.items()})


def page(code: str) -> str | None:
    """What to show to somebody who asks for a code, in plain lines; None: no such code."""
    entry = codes().get(code.upper())
    if entry is None:
        return None
    kind = "error: the file is refused" if entry.code.startswith("E") else "warning: worth a look"
    parts = [f"{entry.code}: {entry.title}\n({kind})", entry.means]
    for name, example in (("wrong", entry.wrong), ("right", entry.right)):
        if example:
            lines = "\n".join(f"    {line}" for line in example.splitlines())
            parts.append(f"{name}:\n{lines}")
    return "\n\n".join(parts) + "\n"


def nearest(code: str) -> str:
    """Help for a code that does not exist."""
    return near(code.upper(), codes())


def example_file(example: str) -> str:
    """A whole file of an example: its keys replace those of a sound rule."""
    if example.startswith(_FILE_BEGINS):
        return example
    given = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    lines = [line for key, line in _RULE.items() if key not in given]
    body = "\n".join(["  - " + lines[0], *("    " + line for line in lines[1:])])
    own = "\n".join("    " + line for line in example.splitlines())
    return f"{_FRAME}{body}\n{own}\n"


def _entry(code: str, node: object) -> Entry:
    assert isinstance(node, YamlMapping)
    texts = {key: value.text for key in node.entries if isinstance(value := node.get(key), Scalar)}
    wrong, right = texts.get("wrong", ""), texts.get("right", "")
    return Entry(code, texts["title"], texts["means"], wrong, right)
