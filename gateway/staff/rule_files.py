"""Rule files as they change: whole or not at all, and only over the text that was read.

Owns the writing of rule files. Only files that the configuration names, or that lie in a folder
that it names, are written; those that come with the project never are. A new text goes into a file
beside the old one, with its rights, and takes its place; after a crash there is the one or the
other. What a text should say is for `rules` and whoever wrote it.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.inventory.asset_files import alone
from gateway.plans import RuleTexts, prepare_with, read_rules
from rules.finding import Finding
from rules.promotion import with_mode

SHIPPED = (
    "comes with sense311, or was changed just now: nothing is written; copy a shipped rule into a "
    "file of your own and name the shipped one in [rules] disable"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.yaml")
_RIGHTS = 0o644  # of a new file


class ChangedError(Exception):
    """The file is not what was read: nothing is written."""


class NotOursError(Exception):
    """No file that may be written by hand."""


def hash_of(text: str) -> str:
    """SHA-256 of a rule text as it lies in its file: by it a writer says what they have read."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def editable(config: Config, file: str) -> Path:
    """The file of that name, which may be not there yet. NotOursError."""
    asked = Path(file)
    for named in config.rules.files:
        if named.is_dir():
            if asked.parent == named and _NAME.fullmatch(asked.name) and not asked.is_symlink():
                return asked
        elif asked == named:
            return asked
    raise NotOursError(f"{file}: [rules] files names neither it nor its folder")


def checked(config: Config, file: str, text: str) -> Sequence[Finding]:
    """The findings of all that would be in force with this text. ConfigError: with an error."""
    texts, findings = read_rules(config)
    if findings:
        raise ConfigError(findings)
    changed = RuleTexts({**texts.sources, file: text}, texts.params, texts.disable)
    return prepare_with(changed, config).warnings


def write_over(path: Path, text: str, was_sha256: str) -> None:
    """Over the text that has this hash; empty: over none. ChangedError, OSError: as it was."""
    there = path.resolve()
    with alone([there]):
        before = _hash_on_disk(there)
        if before != was_sha256:
            what = "is not there any more" if not before else "was changed since it was read"
            raise ChangedError(f"{path.name} {what if was_sha256 else 'is there already'}")
        draft = there.with_name(there.name + ".new")
        try:
            with draft.open("wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(there.stat().st_mode if before else _RIGHTS)
            draft.replace(there)
        finally:
            draft.unlink(missing_ok=True)


class Mode(NamedTuple):
    """A rule's mode as it is now. `changed`: it was another one before."""

    file: str
    changed: bool


def set_mode(texts: RuleTexts, rule: str, mode: str) -> Mode:
    """In the rule's own file. ConfigError, with the findings; NotOursError: it is a shipped one."""
    edit, findings = with_mode(rule, mode, texts.sources, texts.params)
    if edit is None:
        raise ConfigError(findings)
    before = texts.sources[edit.file]
    if edit.text == before:
        return Mode(edit.file, changed=False)
    path = Path(edit.file)
    try:
        if not path.is_file():
            raise NotOursError(f"{path.name} {SHIPPED}")
        write_over(path, edit.text, hash_of(before))
    except ChangedError:
        raise NotOursError(f"{path.name} {SHIPPED}") from None
    return Mode(edit.file, changed=True)


def _hash_on_disk(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
