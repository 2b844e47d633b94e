"""Rule files as they are looked at and edited: their texts in force, and as they lie on the disk.

A file is known by the name that the configuration gives it, so that no name from outside ever
becomes a path. A gateway that was started in another folder may know its files by other names: here
they have one. Changes nothing.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Literal

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict

from gateway.errors import ConfigError
from gateway.plans import RuleTexts, read_rules
from gateway.staff.rule_files import NotOursError, editable, hash_of
from gateway.views.books import Books
from rules.files import read_library
from rules.rule import Bundle, Rule


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sheet(Shown):
    """A rule file to look at, or to edit. `sha256`: of what is on the disk."""

    file: str
    text: str
    sha256: str
    own: bool
    differs: bool
    crlf: bool
    """Its lines end as on Windows; the text here has plain ends."""
    draft_of: str = ""
    """The rule that it is a copy of; it is not on the disk."""
    problem: Literal["", "not_utf8", "gone", "not_named"] = ""
    """Why it cannot be edited: not_utf8, gone from the disk, not_named in the configuration."""


def in_force(books: Books) -> RuleTexts:
    """What the gateway has in force, under the names that the files have here. ConfigError."""
    texts = books.plans().texts
    disk = list(on_disk(books))
    named = {name_here(name, disk): text for name, text in texts.sources.items()}
    return replace(texts, sources=named)


def name_here(name: str, disk: Collection[str]) -> str:
    """The gateway may have been started with a shorter path to the same file."""
    if name in disk or is_shipped(name):
        return name
    parts = PurePath(name).parts
    alike = [other for other in disk if PurePath(other).parts[-len(parts) :] == parts]
    return alike[0] if len(alike) == 1 else name


def whole(texts: RuleTexts) -> Bundle:
    """All of the rules, also those that are left out. They were read before, so they are good."""
    return _whole(texts.to_json())


@lru_cache(maxsize=4)
def _whole(texts: str) -> Bundle:
    bundle, findings = RuleTexts.from_json(texts).whole()
    if bundle is None:
        raise ConfigError(findings)
    return bundle


def is_shipped(file: str) -> bool:
    return file in _shipped()


@lru_cache(maxsize=1)
def _shipped() -> frozenset[str]:
    return frozenset(read_library())


def place_of(rule: Rule) -> tuple[str, int]:
    file, _, line = rule.source.rpartition(":")
    return file, int(line)


def on_disk(books: Books) -> Mapping[str, str]:
    """The rule files as they are now, whether they are any good or not."""
    return read_rules(books.config)[0].sources


def sheet_of(books: Books, file: str) -> Sheet | None:
    """None: the configuration names no such file."""
    running, disk = in_force(books).sources, on_disk(books)
    text = disk.get(file, running.get(file))
    if text is None:
        return None
    sendable = plain(text)
    problem = "" if sendable == text else "not_utf8"
    try:
        if not is_shipped(file) and not editable(books.config, file).is_file():
            problem = "gone"
    except NotOursError:
        problem = "not_named"
    return Sheet(
        file=file, text=with_plain_ends(sendable), own=not is_shipped(file), crlf="\r\n" in text,
        differs=running.get(file) != text, sha256=hash_of(text), problem=problem,
    )  # fmt: skip


def draft_of(books: Books, rule_id: str) -> Sheet | None:
    """A shipped rule as a file of one's own, under another id and in shadow. None: there is no such
    rule, or it and others name each other, so that it cannot stand for itself. `not_named`: there
    is no folder in which it could be saved.
    """
    texts = in_force(books)
    rule = whole(texts).rules.get(rule_id)
    if rule is None or rule.absorbs or rule.absorbed_by:
        return None
    file, line = place_of(rule)
    taken = whole(texts).rules
    own_id = next(name for n in range(1, 1000) if (name := _own_id(rule_id, n)) not in taken)
    text = own_copy(texts.sources[file], line, own_id)
    folder = next((path for path in books.config.rules.files if path.is_dir()), None)
    name = f"{own_id}.yaml"
    return Sheet(
        file=str(folder / name) if folder else name, text=text, sha256="", own=True, differs=True,
        crlf=False, draft_of=rule_id, problem="" if folder else "not_named",
    )  # fmt: skip


def own_copy(source: str, line: int, own_id: str) -> str:
    """The rule that begins on a line, with the head of its file, under another id and in shadow."""
    lines = with_plain_ends(source).split("\n")
    start = next(at for at in range(line - 1, -1, -1) if _is_item(lines[at]))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = next(
        (at for at in range(start + 1, len(lines)) if _ends_item(lines[at], indent)), len(lines)
    )
    body = lines[start:end]
    while body and (not body[-1].strip() or body[-1].lstrip().startswith("#")):
        body.pop()
    first, inner = body[0], " " * (indent + 2)
    said = (f"{inner}id:", f"{inner}mode:")
    rest = [text for text in body[1:] if not text.startswith(said)]
    if first.lstrip().startswith("- id:"):
        first = f"{' ' * indent}- id: {own_id}"
    else:
        rest = [f"{inner}id: {own_id}", *rest]
    body = [first, f"{inner}mode: shadow", *rest]
    head_end = next(at for at, text in enumerate(lines) if text.startswith("rules:"))
    head = [text for text in lines[:head_end] if not text.startswith("#")]
    return "\n".join([*head, "rules:", *body]).lstrip("\n") + "\n"


def _is_item(line: str) -> bool:
    return line.lstrip().startswith(("- use:", "- id:"))


def _ends_item(line: str, indent: int) -> bool:
    text = line.lstrip()
    return bool(text) and not text.startswith("#") and len(line) - len(text) <= indent


def _own_id(rule_id: str, number: int) -> str:
    return f"{rule_id}_own" if number == 1 else f"{rule_id}_own{number}"


def with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def plain(text: str) -> str:
    """What can be sent: half a character cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
