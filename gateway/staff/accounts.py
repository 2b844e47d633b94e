"""Who may enter: people by a password, programs by a token, each with one role.

Owns `accounts.json` in the store's folder, for its owner only: written whole or not at all, by one
at a time, and read again when it has changed. It holds hashes: a password or a token that was made
here is handed out once and kept nowhere. A file that cannot be trusted lets nobody in and says why.
"""

import hashlib
import os
import re
import secrets
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.access.credentials import alone, write_secret
from gateway.errors import ConfigError
from gateway.staff.passwords import fits, hashed, new_password, weakness
from gateway.staff.people import Person, Role
from gateway.watch.logs import Log, Said
from rules.finding import Finding

FILE_BYTES_MAX = 4 * 1024 * 1024
EACH_MAX = 1000
"""As many people, and as many tokens."""
DAYS_DEFAULT, DAYS_MAX = 90.0, 366.0
FAILURES_MAX = 5
FAILURES_MS = 5 * 60_000
"""Who was wrong so often within this time waits until it has passed."""
NAMES_MAX = 10_000  # one is tried at a time: fewer can be wrong within FAILURES_MS
IN_LINE_MAX = 8  # a second of waiting; each try takes 64 MiB and a tenth of a second
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"s311_[A-Za-z0-9_-]{43}")

log = Log(__name__)


class NotLetIn(StrEnum):
    """Why somebody stays outside."""

    WRONG = "wrong"
    """The name or the password; which of them is not said."""
    WAITS = "waits"
    """This name was tried wrongly too often; in five minutes again."""
    BUSY = "busy"
    """Too many sign in at this moment."""
    UNKNOWN = "unknown"
    """No such token, or not any more."""
    EXPIRED = "expired"
    CLOSED = "closed"
    """The file of accounts cannot be used: see `problem`."""


class User(NamedTuple):
    name: str
    role: Role
    since_ms: int


class Token(NamedTuple):
    name: str
    role: Role
    since_ms: int
    expires_ms: int


class Standing(NamedTuple):
    """How somebody stands now. `mark`: another after each change of the password."""

    role: Role
    mark: str


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    role: Role
    since_ms: int


class _User(_Record):
    hash: Annotated[str, Field(pattern=r"^\$argon2id\$[!-~]{1,300}$", repr=False)]


class _Token(_Record):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    expires_ms: int


_Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class _Book(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    version: Literal[1] = 1
    users: dict[_Name, _User] = {}
    tokens: dict[_Name, _Token] = {}


class Accounts:
    """Those of one gateway. Any thread, and any process, may ask and change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "accounts.json"
        self._lock = threading.Lock()
        self._door = threading.Lock()
        self._line = threading.BoundedSemaphore(IN_LINE_MAX)
        self._failures = _Failures()
        self._stamp: tuple[int, ...] = ()
        self._book = _Book()
        self._by_digest: dict[str, str] = {}
        self._fault: Finding | None = None

    # -- who is it ---------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, now_ms: int) -> Person | NotLetIn:
        """Takes a tenth of a second whoever it is, and longer when many come: call it in a thread.

        Big letters in the name, which telephones put there, do not count.
        """
        if not self._line.acquire(blocking=False):
            return NotLetIn.BUSY
        try:
            with self._door:  # one at a time: nobody tries a hundred before the first has failed
                return self._tried(name.strip().lower(), password, now_ms)
        finally:
            self._line.release()

    def _tried(self, name: str, password: str, now_ms: int) -> Person | NotLetIn:
        try:
            user = self._read().users.get(name)
        except ConfigError:
            return NotLetIn.CLOSED
        if self._failures.too_many(name, now_ms):
            return NotLetIn.WAITS
        good = fits(user.hash if user else "", password)
        if user is None or not good:
            self._failures.add(name, now_ms)
            return NotLetIn.WRONG
        self._failures.forget(name)
        return Person(name, user.role)

    def by_token(self, text: str, now_ms: int) -> Person | NotLetIn:
        """The program that has this token."""
        if not _TOKEN.fullmatch(text):
            return NotLetIn.UNKNOWN
        try:
            book = self._read()
        except ConfigError:
            return NotLetIn.CLOSED
        name = self._by_digest.get(_digest(text), "")
        token = book.tokens.get(name)
        if token is None:
            return NotLetIn.UNKNOWN
        if now_ms >= token.expires_ms:
            return NotLetIn.EXPIRED
        return Person(f"token:{name}", token.role)

    def standing(self, name: str) -> Standing | None:
        """None: there is no such person any more, or nobody is let in."""
        try:
            user = self._read().users.get(name)
        except ConfigError:
            return None
        return Standing(user.role, _digest(user.hash)) if user else None

    def problem(self) -> str:
        """Why nobody is let in, and how to mend it; empty: all is well."""
        try:
            self._read()
        except ConfigError as error:
            return str(error)
        return ""

    # -- who there is ------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """ConfigError, here and below: the file cannot be used, or what is asked cannot be."""
        found = self._read().users
        return [User(name, one.role, one.since_ms) for name, one in sorted(found.items())]

    def tokens(self) -> list[Token]:
        """Those that have expired too."""
        found = sorted(self._read().tokens.items())
        return [Token(name, one.role, one.since_ms, one.expires_ms) for name, one in found]

    def add_user(self, name: str, role: Role, now_ms: int, password: str | None = None) -> str:
        """The password: a new one, unless one is given."""
        with self._changing() as book:
            self._check_new(name, book.users)
            chosen, hash_ = self._hashed(name, password)
            book.users[name] = _User(role=role, since_ms=now_ms, hash=hash_)
        return chosen

    def set_password(self, name: str, password: str | None = None) -> str:
        """Another password, the new one as `add_user`; the sessions of before end."""
        with self._changing() as book:
            self._check_known(name, book.users)
            chosen, hash_ = self._hashed(name, password)
            book.users[name] = book.users[name].model_copy(update={"hash": hash_})
        return chosen

    def set_role(self, name: str, role: Role) -> None:
        with self._changing() as book:
            self._check_known(name, book.users)
            book.users[name] = book.users[name].model_copy(update={"role": role})

    def end_user(self, name: str) -> None:
        with self._changing() as book:
            self._check_known(name, book.users)
            del book.users[name]

    def add_token(
        self, name: str, role: Role, now_ms: int, days: float = DAYS_DEFAULT
    ) -> tuple[str, Token]:
        """The token itself, and its entry."""
        if not 0 < days <= DAYS_MAX:
            raise self._refusal("E444", f"a token for {days:g} days", f"up to {DAYS_MAX:g} days")
        text = f"s311_{secrets.token_urlsafe(32)}"
        expires_ms = now_ms + int(days * 86_400_000)
        record = _Token(role=role, since_ms=now_ms, expires_ms=expires_ms, sha256=_digest(text))
        with self._changing() as book:
            self._check_new(name, book.tokens)
            book.tokens[name] = record
        return text, Token(name, role, now_ms, expires_ms)

    def end_token(self, name: str) -> None:
        with self._changing() as book:
            self._check_known(name, book.tokens)
            del book.tokens[name]

    def _check_new(self, name: str, there: dict[str, _User] | dict[str, _Token]) -> None:
        if not NAME.fullmatch(name):
            help_ = f"small letters and digits: a name matches {NAME.pattern}"
            raise self._refusal("E441", f"{name[:80]!r} is not a name", help_)
        if name in there:
            raise self._refusal("E442", f"there is a {name} already", "end it first")
        if len(there) >= EACH_MAX:
            raise self._refusal("E445", f"there are {EACH_MAX} already", "end one first")

    def _check_known(self, name: str, there: dict[str, _User] | dict[str, _Token]) -> None:
        if name not in there:
            raise self._refusal("E442", f"there is no {name[:80]!r}", "`ls` names all")

    def _hashed(self, name: str, given: str | None) -> tuple[str, str]:
        password = new_password() if given is None else given
        fault = weakness(name, given) if given is not None else ""
        if fault:
            raise self._refusal("E443", f"the password {fault}", "leave it out to get a good one")
        return password, hashed(password)

    def _refusal(self, code: str, message: str, help_: str) -> ConfigError:
        return ConfigError([Finding(str(self._path), 1, 1, code, message, help_)])

    # -- the file ----------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[_Book]:
        """The book as it is, to be changed; it is written when the block ends well."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(self._folder):
            book = self._read().model_copy(deep=True)
            yield book
            write_secret(self._path, book.model_dump_json(indent=1) + "\n")

    def _read(self) -> _Book:
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp or not stamp:
                self._read_again(stamp)
            if self._fault is not None:
                raise ConfigError([self._fault])
            return self._book

    def _read_again(self, stamp: tuple[int, ...]) -> None:
        before, self._fault = self._fault, None
        try:
            self._book = _Book.model_validate_json(_content(self._path))
        except FileNotFoundError:
            self._book = _Book()
        except _Unusable as error:
            self._fault = Finding(str(self._path), 1, 1, "E440", str(error), error.help)
        except ValidationError as error:
            self._fault = Finding(str(self._path), 1, 1, "E440", _first(error), _RESTORE)
        self._stamp = stamp
        self._by_digest = {one.sha256: name for name, one in self._book.tokens.items()}
        if self._fault is not None and self._fault != before:
            log.error(Said.ACCOUNTS_UNREADABLE, "nobody is let in", why=self._fault)


class _Failures:
    """When which name was wrong. As little is known of names that are nobody's as of others."""

    def __init__(self) -> None:
        self._at_ms: OrderedDict[str, list[int]] = OrderedDict()

    def too_many(self, name: str, now_ms: int) -> bool:
        recent = [at for at in self._at_ms.get(_key(name), []) if 0 <= now_ms - at < FAILURES_MS]
        return len(recent) >= FAILURES_MAX

    def add(self, name: str, now_ms: int) -> None:
        key = _key(name)
        self._at_ms[key] = [*self._at_ms.get(key, []), now_ms][-FAILURES_MAX:]
        self._at_ms.move_to_end(key)
        if len(self._at_ms) > NAMES_MAX:
            self._at_ms.popitem(last=False)

    def forget(self, name: str) -> None:
        self._at_ms.pop(_key(name), None)


def _key(name: str) -> str:
    """All that cannot be a name is one name."""
    return name if NAME.fullmatch(name) else ""


class _Unusable(Exception):  # noqa: N818
    def __init__(self, message: str, help_: str) -> None:
        super().__init__(message)
        self.help = help_


_RESTORE = "restore it from a backup, or remove it and add everybody again with `sense311 users`"


def _stamp(path: Path) -> tuple[int, ...]:
    """Another one after each change, of the content or of who may read it. Empty: not to be had."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _content(path: Path) -> bytes:
    """Of a file that only its owner may read. FileNotFoundError: there is none."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise _Unusable("others may read or change it", f"chmod 600 {path}")
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        help_ = "it belongs to the user that runs the gateway and the console: chown, chmod 600"
        raise _Unusable(f"cannot read: {error.strerror}", help_) from None
    if len(data) > FILE_BYTES_MAX:
        raise _Unusable("larger than 4 MiB", _RESTORE)
    return data


def _first(error: ValidationError) -> str:
    """What is wrong and where, without what stands there."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"is no file of accounts: {where + ': ' if where else ''}{fault['msg']}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
