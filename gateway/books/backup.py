"""Backups: the books and what they are read with, copied beside the running gateway, and put back.

Owns the folder of a backup: a copy of the store as it was at one instant, the configuration and the
files that it names, and a manifest with the hash of each. A backup is there whole and checked, or
not at all. Secrets are left out unless they are asked for. Nothing is put back that is not as it
was written, none under a gateway that runs, and nothing that was there is deleted.
What a restored store cannot know is for `doubts`.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.books.doubts import put_in_doubt
from gateway.books.ledger import opened
from gateway.books.schema import MIGRATIONS
from gateway.cityhall.requests import rfc3339
from gateway.config import Config
from gateway.errors import StoreBroken

MANIFEST, DATABASE, ACCOUNTS = "manifest.json", "sense311.db", "accounts.json"
FRESH = "sense311.db.restoring"
FORMAT = 1
ROOM_BYTES = 64 * 1024 * 1024  # beyond the copy itself


class BackupError(Exception):
    """It cannot be made, or not be put back; the message says why, and nothing was changed."""


class Named(NamedTuple):
    """A file that the configuration names."""

    path: Path
    secret: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what a person has to see to."""

    store: Path
    made_at: str
    in_doubt: int
    """Requests that were on their way: they are looked for at the city."""
    files: list[str]
    """Put back."""
    kept: list[str]
    """There already, and not as in the backup: left as they are."""
    secrets: list[str]
    """Named, and not there: a person has them."""
    set_aside: Path | None
    """Where the store now lies that was there before."""


# -- what belongs to a backup ---------------------------------------------------------------------


def config_in(text: bytes, path: Path) -> Config:
    """The configuration, without a look at any file that it names. BackupError: it is none."""
    try:
        return Config.model_validate(tomllib.loads(text.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError):
        raise BackupError(f"{path} cannot be used: `sense311 check -c` says why") from None


def named_by(config: Config, folder: Path) -> list[Named]:
    """The files that a configuration in this folder names; of folders of rules, those in them."""
    found = [Named(folder / path, secret=False) for path in config.assets.files]
    for path in config.rules.files:
        here = folder / path
        each = sorted(here.glob("*.yaml")) if here.is_dir() else [here]
        found += [Named(rule, secret=False) for rule in each]
    for desk in (config.city, config.emergency):
        if desk is not None and desk.profile.endswith(".toml"):
            found.append(Named(folder / desk.profile, secret=False))
    found += [Named(folder / s.mapping, secret=False) for s in config.source if s.mapping]
    certificates = (config.broker.ca_file, config.broker.certificate_file)
    found += [Named(folder / path, secret=False) for path in certificates if path is not None]
    secret = [config.broker.credentials, config.broker.password_file, config.broker.key_file]
    secret += [desk.api_key_file for desk in (config.city, config.emergency) if desk is not None]
    secret += [config.history.token_file] if config.history is not None else []
    found += [Named(folder / path, secret=True) for path in secret if path is not None]
    return list(dict.fromkeys(found))


def back_up(config_path: Path, to: Path, now_ms: int, *, with_secrets: bool) -> dict[str, Any]:
    """Make the backup `to`, a folder that is not there yet; what the manifest says. BackupError,
    StoreBroken, OSError: there is none.
    """
    if to.exists():
        raise BackupError(f"{to} is there already; each backup has a folder of its own")
    text = config_path.read_bytes()
    config = config_in(text, config_path)
    store, base = config_path.parent / config.store.folder, config_path.parent
    to.parent.mkdir(parents=True, exist_ok=True)
    draft = to.with_name(f".{to.name}-{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700)
    try:
        schema = _copy_store(store / DATABASE, draft / DATABASE)
        _write(draft / "sense311.toml", text)
        files = [_entry(draft / DATABASE), _entry(draft / "sense311.toml")]
        if (store / ACCOUNTS).exists():
            _write(draft / ACCOUNTS, (store / ACCOUNTS).read_bytes())
            files.append(_entry(draft / ACCOUNTS))
        left_out = list[str]()
        for number, named in enumerate(named_by(config, base), 1):
            told = _told(named.path, base)
            if (named.secret and not with_secrets) or not named.path.is_file():
                left_out.append(told)
                continue
            copy = draft / f"{number:03d}-{named.path.name}"
            _write(copy, named.path.read_bytes())
            files.append(_entry(copy) | {"path": told, "secret": named.secret})
        manifest = {
            "format": FORMAT, "made_ms": now_ms, "made_at": rfc3339(now_ms), "schema": schema,
            "files": files, "left_out": left_out,
        }  # fmt: skip
        _write(draft / MANIFEST, json.dumps(manifest, indent=1).encode())
        check(draft)
        draft.replace(to)
        _sync(to.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return manifest


def check(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is as it was written. BackupError: it is not."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        files = {str(entry["name"]): dict(entry) for entry in manifest["files"]}
        if manifest["format"] != FORMAT or not {DATABASE, "sense311.toml"} <= set(files):
            raise BackupError(f"{folder}: not a backup that this version can read")
        int(manifest["made_ms"]), int(manifest["schema"]), list(manifest["left_out"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder}: no backup, or its {MANIFEST} is damaged ({error})") from None
    for name, entry in files.items():
        if Path(name).name != name or name.startswith("."):
            raise BackupError(f"{folder}: {MANIFEST} names {name!r}, which is no file of a backup")
        with _told_plainly(folder / name):
            if _entry(folder / name) != {key: entry[key] for key in ("name", "bytes", "sha256")}:
                raise BackupError(f"{folder / name} is not as it was written")
    if manifest["schema"] > len(MIGRATIONS):
        raise BackupError(f"{folder} was made by a newer version of sense311: install that one")
    with opened(folder / DATABASE, "ro") as db:
        _assert_whole(db, folder / DATABASE)
    return manifest


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError) as error:
        raise BackupError(f"{path}: {error}") from None


def _copy_store(source: Path, target: Path) -> int:
    """One instant of it, whatever is written meanwhile; the version of its tables."""
    if not source.exists():
        raise BackupError(f"{source}: no such store; has the gateway run?")
    needs, free = source.stat().st_size + ROOM_BYTES, shutil.disk_usage(target.parent).free
    if free < needs:
        raise BackupError(f"{target.parent}: {needs >> 20} MB are needed, {free >> 20} are free")
    target.touch(mode=0o600)
    with opened(source, "ro") as live, opened(target, "rw") as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable wherever it lies
        _assert_whole(copy, target)
        version = int(copy.execute("PRAGMA user_version").fetchone()[0])
    _sync(target)
    return version


def _assert_whole(db: Connection, path: Path) -> None:
    (said,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise BackupError(f"{path} is damaged: {said}")


# -- and back -------------------------------------------------------------------------------------


def restore(
    folder: Path, config_path: Path, now_ms: int, *, replace: bool, files: bool
) -> Restored:
    """Put a backup back for the configuration at `config_path`, which comes from the backup where
    it is not there. `replace`: in place of a store that is there. `files`: and of configuration,
    rules and assets that are there and differ. BackupError, StoreBroken: nothing was changed.
    """
    manifest = check(folder)
    backed = (folder / "sense311.toml").read_bytes()
    keeps_own = config_path.exists() and not files
    config = config_in(config_path.read_bytes() if keeps_own else backed, config_path)
    base = config_path.parent
    store = base / config.store.folder
    pairs = list(_targets(folder, manifest, backed, config_path))
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(store):
        there = (store / DATABASE).exists()
        if there and not replace:
            message = f"{store} has a store already; --replace sets it aside and takes the backup"
            raise BackupError(message)
        in_doubt = _prepare(folder, store / FRESH, manifest["made_ms"], now_ms)
        aside = _set_aside(store, now_ms) if there else None
        (store / FRESH).replace(store / DATABASE)
        if (folder / ACCOUNTS).exists():
            _put(folder / ACCOUNTS, store / ACCOUNTS, secret=True)
        _sync(store)
    back, kept = list[str](), list[str]()
    for source, target, secret in pairs:
        same = target.exists() and target.read_bytes() == source.read_bytes()
        if target.exists() and not same and not files:
            kept.append(str(target))
        elif not same:
            if target.exists():
                target.replace(target.with_name(f"{target.name}.before-{now_ms}"))
            _put(source, target, secret=secret)
            back.append(str(target))
    absent = [str(n.path) for n in named_by(config, base) if n.secret and not n.path.exists()]
    return Restored(store, manifest["made_at"], in_doubt, back, kept, absent, aside)


def _targets(
    folder: Path, manifest: dict[str, Any], backed: bytes, config_path: Path
) -> Iterator[tuple[Path, Path, bool]]:
    """Each file beside the store, where it goes, and whether it is secret. It goes only where the
    configuration of the backup itself names it: a manifest cannot write elsewhere.
    """
    yield folder / "sense311.toml", config_path, False
    config, base = config_in(backed, config_path), config_path.parent
    known = {os.path.normpath(named.path) for named in named_by(config, base)}
    inside = {os.path.normpath(base / path) for path in config.rules.files}
    for entry in manifest["files"]:
        if "path" not in entry:
            continue
        target = Path(os.path.normpath(base / str(entry["path"])))
        is_rule = target.suffix == ".yaml" and str(target.parent) in inside
        if str(target) not in known and not is_rule:
            raise BackupError(f"{folder}: {MANIFEST} names {target}, its configuration does not")
        yield folder / entry["name"], target, bool(entry.get("secret", True))


def _prepare(folder: Path, fresh: Path, made_ms: int, now_ms: int) -> int:
    """The copy, in the folder of the store and ready to take its place; requests in doubt."""
    fresh.unlink(missing_ok=True)
    try:
        _put(folder / DATABASE, fresh, secret=True)
        with opened(fresh, "rw") as db:
            in_doubt = put_in_doubt(db, made_ms, now_ms)
            _assert_whole(db, fresh)
        _sync(fresh)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return in_doubt


def _set_aside(store: Path, now_ms: int) -> Path:
    """The store that was there, with its log and its accounts."""
    aside = store / f"before-restore-{now_ms}"
    aside.mkdir(mode=0o700)
    _give_away(aside)
    for name in (f"{DATABASE}-shm", f"{DATABASE}-wal", ACCOUNTS, DATABASE):
        with suppress(FileNotFoundError):
            (store / name).replace(aside / name)
    return aside


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """No gateway runs here, and none can begin."""
    with (store / "lock").open("a") as lock:
        _give_away(store / "lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreBroken(f"{store}: a gateway is using this folder; stop it first") from None
        yield


# -- files ----------------------------------------------------------------------------------------


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


def _told(path: Path, base: Path) -> str:
    """As the configuration could name it: from its folder, where it lies in there."""
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path.absolute())


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
    _sync(path)


def _put(source: Path, target: Path, *, secret: bool) -> None:
    """A copy in its place, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        draft.touch(mode=0o600 if secret else 0o644)
        shutil.copyfile(source, draft)
        _give_away(draft)
        _sync(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _give_away(path: Path) -> None:
    """What root puts back belongs to whom the folder belongs."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
