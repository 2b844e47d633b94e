"""Scenario files: from a path or the name of a ready one to a Scenario, or to findings.

Whatever is wrong is told with its line, its column and what to write instead, all at once where
that is possible. Knows what a file may say, not whether the city in it can be played: that is the
staging's. Reads files, writes none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from simulators import marked_yaml
from simulators.marked_yaml import Marked, YamlError
from simulators.scenario import Scenario

READY = Path(__file__).parent / "scenarios"
Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a scenario, and how to mend it; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"\n    = help: {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class ScenarioError(ValueError):
    """A scenario that cannot be played."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


@dataclass(frozen=True)
class ScenarioFile:
    """`name`: as the file is called in findings; `folder`: where the files that it names lie."""

    name: str
    folder: Path
    scenario: Scenario
    marked: Marked = field(repr=False)

    def finding(
        self, where: Where, message: str, hint: str = "", *, is_key: bool = False
    ) -> Finding:
        """At a value, or at its key."""
        place = self.marked.key(where) if is_key else self.marked.place(where)
        return Finding(self.name, *place, message, hint)

    def path(self, name: str) -> Path:
        """Of another file that this one names."""
        return self.folder / name

    @property
    def rule_files(self) -> list[Path]:
        """Empty: the shipped rules."""
        return [self.path(name) for name in self.scenario.rules]

    def changed(self, changes: Mapping[str, Any]) -> "ScenarioFile":
        """The same with other values, inner mappings key by key. Raises ScenarioError."""
        marked = Marked(_merged(self.marked.value, changes), self.marked.keys, self.marked.values)
        return ScenarioFile(self.name, self.folder, _validated(self.name, marked), marked)


def read_scenario(name: str | Path) -> ScenarioFile:
    """A file, or a ready scenario by its name. Raises ScenarioError, OSError."""
    path = find(name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError([Finding(str(path), 1, 1, f"not UTF-8: {error.reason}")]) from None
    return parse_scenario(text, str(path), path.parent)


def parse_scenario(text: str, file: str, folder: Path = Path()) -> ScenarioFile:
    """Raises ScenarioError."""
    try:
        marked = marked_yaml.read(text)
    except YamlError as error:
        raise ScenarioError([Finding(file, *error.place, str(error), error.hint)]) from None
    return ScenarioFile(file, folder, _validated(file, marked), marked)


def ready() -> list[Path]:
    """The scenarios that come along, by name."""
    return sorted(READY.glob("*.yaml"))


def find(name: str | Path) -> Path:
    """What is no file, and looks like none, is the name of a ready one. Raises ScenarioError."""
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path
    known = [one.stem for one in ready()]
    if str(name) in known:
        return READY / f"{name}.yaml"
    raise ScenarioError([Finding(str(name), 1, 1, f"no scenario {str(name)!r}", near(name, known))])


def near(word: object, known: Sequence[str]) -> str:
    """The hint for a word that is not known."""
    close = get_close_matches(str(word), known, 3, 0.6)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    shown = ", ".join(sorted(known)[:12])
    return f"there is: {shown}" + (", ..." if len(known) > 12 else "") if known else ""


def json_schema() -> dict[str, Any]:
    """Of a scenario file, for editors."""
    schema: dict[str, Any] = _tidied(Scenario.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _tidied(schema: Any) -> Any:
    """Texts with a unit are texts: their limits are numbers that no editor could use, and a default
    that is given without its unit would be refused.
    """
    if isinstance(schema, list):
        return [_tidied(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    dropped = {"ge", "le", "title"} if "string" in kinds else {"title"}
    if schema.get("type") == "string" and not isinstance(schema.get("default", ""), str):
        dropped.add("default")
    if schema.get("type") == "array" and "string" in str(schema.get("prefixItems")):
        dropped.add("default")
    names = "properties" in schema
    return {
        key: {name: _tidied(one) for name, one in value.items()}
        if names and key == "properties" else _tidied(value)
        for key, value in schema.items() if key not in dropped or isinstance(value, dict)
    }  # fmt: skip


# --- what pydantic finds, in our words and places ------------------------------------------------


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new


def _validated(file: str, marked: Marked) -> Scenario:
    if not isinstance(marked.value, dict):
        hint = "begin with `scenario: 1`, `name:` and `description:`; `sense311 sim new` writes one"
        raise ScenarioError([Finding(file, 1, 1, "no scenario: a mapping of keys is due", hint)])
    try:
        return Scenario.model_validate(marked.value)
    except ValidationError as error:
        found = sorted(_findings(file, marked, error), key=lambda one: (one.line, one.column))
        raise ScenarioError(found) from None


def _findings(file: str, marked: Marked, error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_url=False):
        where, kind = one["loc"], one["type"]
        at = marked.key(where) if kind == "extra_forbidden" else marked.place(where)
        yield Finding(file, *at, *_said(where, kind, one))


def _said(where: Where, kind: str, error: Mapping[str, Any]) -> tuple[str, str]:
    """(message, hint)."""
    name = ".".join(str(part) for part in where if isinstance(part, str))
    if kind == "missing":
        return f"{name} is missing", f"write `{where[-1]}: ...` here"
    if kind == "extra_forbidden":
        return f"no key {where[-1]!r} here", near(where[-1], _keys_at(where[:-1]))
    context = error.get("ctx", {})
    if kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        due = near(error["input"], known) or f"write {context.get('expected')}"
        return f"{name}: unknown {error['input']!r}", due
    if kind == "value_error":
        return f"{name}: {error['input']!r} cannot be read", str(context["error"])
    if kind == "string_pattern_mismatch" and name == "name":
        return f"name: {error['input']!r}", "lower case letters, digits and hyphens"
    said = str(error["msg"])
    return f"{name}: {error['input']!r}", said[:1].lower() + said[1:]


def _keys_at(where: Where) -> list[str]:
    """What a mapping at this place may hold."""
    model: type[BaseModel] | None = Scenario
    for part in where:
        if isinstance(part, str):
            model = _inner(model, part)
    fields = model.model_fields if model else {}
    return [one.alias or name for name, one in fields.items()]


def _inner(model: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    fields = model.model_fields if model else {}
    for name, one in fields.items():
        if key in (name, one.alias):
            kinds = (one.annotation, *get_args(one.annotation))
            return next(
                (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None
            )
    return None
