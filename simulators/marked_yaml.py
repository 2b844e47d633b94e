"""A YAML text as plain values, with the line and column of each key and value.

One document of mappings, lists and scalars, each thing said once: anchors, aliases, tags and
duplicate keys are refused. Scalars are numbers, true, false, nothing, or text: no date, no `yes`,
no octal is guessed. A fault is one `Fault` with its place, never a traceback.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

TEXT_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 12
Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, from 1
# The C parser is much faster and says the same; where it is missing, the one in Python serves.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT = re.compile(r"[-+]?\d+"), re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
DIGITS_MAX = 30  # of a number; a longer one stays text and is refused where a number is due


class YamlError(ValueError):
    """The text is not YAML as it is read here. `place`: where; `hint`: how to mend it."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.hint = hint


@dataclass
class Marked:
    """`value`, and the places of all in it by path."""

    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Of a value, or of the nearest thing around it that the text has."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def key(self, path: Path) -> Place:
        """Of the key that leads to a value."""
        return self.keys.get(path) or self.place(path)


def read(text: str) -> Marked:
    """Raises YamlError."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise YamlError((1, 1), "more than 1 MiB is no scenario", "split it")
    try:
        _screen(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError(place, f"not YAML: {error.problem}", _HINT) from None
    except yaml.YAMLError as error:
        raise YamlError((1, 1), f"not YAML: {str(error).splitlines()[0]}", _HINT) from None
    marked = Marked()
    if node is not None:
        marked.value = _value(node, (), marked)
    return marked


_HINT = "each line is `key: value`, indented with blanks; texts with `: ` in them need quotes"


def _screen(text: str) -> None:
    """Refuses what is never meant in a scenario, before anything is built of it."""
    depth, documents = 0, 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlError(place, "anchors and aliases are not read", "write it out")
        if (tag := getattr(event, "tag", None)) is not None:
            raise YamlError(place, f"tags such as {tag!r} are not read", "leave the tag out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEPTH_MAX:
            raise YamlError(
                place, f"nested more than {DEPTH_MAX} deep", "a scenario nests four deep"
            )
        if documents > 1:
            raise YamlError(place, "a second document begins", "one file, one scenario")


def _value(node: yaml.Node, path: Path, marked: Marked) -> Any:
    marked.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, marked)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, n), marked) for n, item in enumerate(node.value)]
    return _scalar(str(node.value), quoted=bool(getattr(node, "style", None)))


def _mapping(node: yaml.MappingNode, path: Path, marked: Marked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        place = (key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(place, "a key is a word", "leave out the bracket or the `?`")
        if key.value in found:
            raise YamlError(place, f"{key.value!r} stands here twice", "keep one of the two")
        marked.keys[*path, key.value] = place
        found[key.value] = _value(value, (*path, key.value), marked)
    return found


def _scalar(text: str, *, quoted: bool) -> Any:
    if quoted or len(text) > DIGITS_MAX:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    readers: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...]
    readers = ((_INT, int), (_FLOAT, float))
    for pattern, reader in readers:
        if pattern.fullmatch(text):
            return reader(text)
    return text
