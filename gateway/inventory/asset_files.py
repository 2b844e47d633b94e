"""Asset files as they change: whole or not at all, and never into one that cannot be used.

Owns the writing of asset files. A new text goes into a file beside the old one, is read as the
gateway will read it, together with the other files, and only then takes the old one's place; after
a crash there is the one or the other. What a text should say is for `adoption` and `asset_writing`.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from gateway.clock import ms_of
from gateway.errors import ConfigError
from gateway.inventory.adoption import with_devices
from gateway.inventory.asset_rows import rows
from gateway.inventory.asset_writing import written
from gateway.inventory.assets import ALWAYS_MS, City, read_assets
from gateway.inventory.ngsi_assets import entities_in
from rules.finding import Finding


class Entry(NamedTuple):
    """Where the newest entry of an asset stands; `number` as `asset_rows.Row.line`."""

    file: Path
    number: int


def form_of(path: Path) -> str:
    """The format that a file's name stands for."""
    return "csv" if path.suffix.lower() == ".csv" else "geojson"


def read_whole(paths: Sequence[Path]) -> City:
    """ConfigError: with the findings of all of them."""
    city, findings = read_assets(paths)
    if findings:
        raise ConfigError(findings)
    return city


def newest_entry(paths: Sequence[Path], asset: str) -> Entry | None:
    """The one that says who speaks for it today."""
    found: tuple[int, Entry] | None = None
    for path in paths:
        for row in rows(path, []):
            said = row.properties
            if not isinstance(said, dict) or said.get("asset_id") != asset:
                continue
            dated = said.get("valid_from")
            since_ms = ms_of(dated) if isinstance(dated, str) else None
            since_ms = ALWAYS_MS if since_ms is None else since_ms
            if found is None or since_ms >= found[0]:
                found = since_ms, Entry(path, row.line)
    return found[1] if found else None


def enter_devices(paths: Sequence[Path], asset: str, devices: Sequence[str]) -> Path:
    """Rewrite the file in which the asset stands; its path. ConfigError: it is as it was."""
    entry = newest_entry(paths, asset)
    if entry is None:
        raise ConfigError([Finding(str(paths[0]), 1, 1, "E304", f"there is no asset {asset!r}")])
    text = entry.file.read_bytes().decode("utf-8")
    try:
        changed = with_devices(text, form_of(entry.file), entry.number, devices)
    except ValueError as error:
        help_ = f"enter {', '.join(devices)} by hand among the devices of {asset}"
        finding = Finding(str(entry.file), entry.number, 1, "E303", str(error), help_)
        raise ConfigError([finding]) from None
    with replacing(paths, entry.file, changed.encode()) as city:
        wrong = [name for name in devices if city.by_device.get(name) != city.assets[asset]]
        if wrong:
            message = f"{', '.join(wrong)} would not speak for {asset}"
            raise ConfigError([Finding(str(entry.file), entry.number, 1, "E307", message)])
    return entry.file


@contextmanager
def alone(paths: Sequence[Path]) -> Iterator[None]:
    """Nobody else changes these files meanwhile: what was read is still so when it is written."""
    with ExitStack() as held:
        for folder in sorted({path.resolve().parent for path in paths}):
            number = os.open(folder, os.O_RDONLY)
            held.callback(os.close, number)
            fcntl.flock(number, fcntl.LOCK_EX)
        yield


class Offered(NamedTuple):
    """A new file, as it would be written in place of another; the city that there would be then."""

    data: bytes
    city: City
    left_out: Sequence[str]


def offered(paths: Sequence[Path], target: Path, new: Path) -> Offered:
    """`new` in place of `target`, one of `paths`, in the target's format where it has another.
    ConfigError: it cannot be used.
    """
    try:
        data = new.read_bytes()
    except OSError as error:
        message = f"cannot read: {error.strerror}"
        raise ConfigError([Finding(str(new), 1, 1, "E301", message)]) from None
    entities = entities_in(data)
    with TemporaryDirectory() as folder:
        draft = Path(folder) / f"new{new.suffix if entities is None else '.geojson'}"
        draft.write_bytes(data if entities is None else entities.text.encode())
        own = _read_as(new, draft, [draft])
        if form_of(draft) != form_of(target):
            text = written(own.assets.values(), form_of(target))
            draft = draft.with_suffix(target.suffix)
            draft.write_text(text, "utf-8", newline="")
        city = _read_as(new, draft, [draft if path == target else path for path in paths])
        return Offered(draft.read_bytes(), city, entities.left_out if entities else ())


def _read_as(name: Path, draft: Path, paths: Sequence[Path]) -> City:
    city, findings = read_assets(paths)
    if findings:
        raise ConfigError([_named(finding, draft, name) for finding in findings])
    return city


@contextmanager
def replacing(paths: Sequence[Path], target: Path, data: bytes) -> Iterator[City]:
    """The city that there would be with `data` in place of `target`, one of `paths`; it takes its
    place when the block ends well. ConfigError: `data` cannot be used; the names in the findings
    are those of the target.
    """
    real = target.resolve()  # a link stays one
    draft = real.with_name(f".{real.stem}.{secrets.token_hex(4)}{real.suffix}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield _read_as(target, draft, [draft if path == target else path for path in paths])
        shutil.copymode(real, draft)
        draft.replace(real)
        _fsync_folder(real.parent)
    finally:
        draft.unlink(missing_ok=True)


def _named(finding: Finding, draft: Path, target: Path) -> Finding:
    return replace(finding, file=str(target)) if finding.file == str(draft) else finding


def _fsync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
