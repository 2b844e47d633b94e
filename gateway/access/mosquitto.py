"""Mosquitto's files in one folder: who may speak, with which password, on which topics.

It owns `users.json`, `passwords` and `acl`. A password is
kept until its user is renewed or withdrawn, and only its hash stands here; whoever asked for it
gets it once. A user who was withdrawn is denied by name: by certificate it may still be connected.
It starts nothing and signals nobody.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.access.credentials import (
    GATEWAY_USER,
    BrokerError,
    BrokerReason,
    alone,
    commands_to,
    new_password,
    write_secret,
)

SELF_TEST_DEVICE = "self-test-a"
"""May speak for itself as any device may; the self-test tries to speak as another."""
SELF_TEST_OTHER = "self-test-b"
SELF_TEST_EAR = "self-test-ear"
"""Hears what the gateway would hear, in the zone of the self-test alone."""
SELF_TEST_ZONE = "self-test"
OWN = (GATEWAY_USER, SELF_TEST_DEVICE, SELF_TEST_EAR)
"""Users that every folder has, beside those that were asked for."""

# Passwords of ours have 192 bits: stretching adds nothing against guessing, and the broker would
# pay for it each time that ten thousand devices come back at once.
_ITERATIONS = 101
_SALT_BYTES = 12
_HASH_BYTES = 64

_HEADER = "# Written by `sense311 devices`: what is changed by hand here is lost."
_PATTERNS = """\
pattern write city/v1/+/+/%u/telemetry
pattern write city/v1/+/+/%u/batch
pattern write city/v1/+/+/%u/status
pattern read city/v1/+/+/%u/ack
pattern read city/v1/dead-letter/native/%u
pattern read city/v1/device-status/%u
"""
_GATEWAY = f"""\
user {GATEWAY_USER}
topic read city/v1/+/+/+/telemetry
topic read city/v1/+/+/+/batch
topic read city/v1/+/+/+/status
topic write city/v1/+/+/+/ack
topic write city/v1/dead-letter/#
topic write city/v1/device-status/#
"""
_EAR = f"""\
user {SELF_TEST_EAR}
topic read city/v1/{SELF_TEST_ZONE}/#
topic write city/v1/{SELF_TEST_ZONE}/+/+/ack
topic write city/v1/dead-letter/native/{SELF_TEST_OTHER}
"""


@dataclass
class Users:
    """`users.json`: device -> whether it has a password (else a certificate); source -> its topic
    filters; and who was withdrawn.
    """

    devices: dict[str, bool] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    url: str = ""
    """Where devices reach the broker."""

    def known(self, name: str) -> bool:
        return name in self.devices or name in self.sources


def users_of(folder: Path) -> Users:
    """BrokerError: the file is not one that was written here."""
    path = folder / "users.json"
    try:
        found = json.loads(path.read_bytes())
        return Users(
            {str(name): bool(has) for name, has in found["devices"].items()},
            {str(name): [*map(str, topics)] for name, topics in found["sources"].items()},
            [*map(str, found["withdrawn"])],
            str(found["url"]),
        )
    except FileNotFoundError:
        return Users()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"cannot be read ({type(error).__name__})"
        hint = "restore it; without it nobody knows who may speak"
        reason = BrokerReason.BAD_CREDENTIALS_FILE
        raise BrokerError(reason, str(path), message, hint) from None


@dataclass(frozen=True)
class Change:
    """What is to become of some users. `passwords`: also gives devices passwords; without, they
    have certificates. An empty list of topics is no source.
    """

    devices: Sequence[str] = ()
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    renew: frozenset[str] = frozenset()
    withdraw: Sequence[str] = ()
    passwords: bool = True
    url: str = ""
    """Empty: as it was."""


def change(folder: Path, wanted: Change) -> dict[str, str]:
    """Writes the files; the new passwords by user, which stand nowhere else. BrokerError.

    Within `changing`, which also covers what the caller does with the passwords.
    """
    users, hashes = users_of(folder), _read_hashes(folder / "passwords")
    if _is_foreign(folder / "acl"):
        hint = "name another folder, or move its lines away; this command writes all of it"
        message = "was written by somebody else"
        raise BrokerError(BrokerReason.BAD_CONFIG, str(folder / "acl"), message, hint)
    users.url = wanted.url or users.url
    for name in wanted.devices:
        users.devices[name] = wanted.passwords
    for name, topics in wanted.sources.items():
        users.sources[name] = list(topics)
    for name in wanted.withdraw:
        users.devices.pop(name, None)
        users.sources.pop(name, None)
        users.withdrawn = sorted({*users.withdrawn, name})
    users.withdrawn = [name for name in users.withdrawn if not users.known(name)]
    new = _renew(users, hashes, wanted)
    _write(folder, users, hashes)
    return new


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Nobody else changes the folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(folder):
        yield


def _renew(users: Users, hashes: dict[str, str], wanted: Change) -> dict[str, str]:
    """Brings the hashes in line with the users; the passwords that are new."""
    new = {}
    with_password = {*OWN, *users.sources, *(name for name, has in users.devices.items() if has)}
    for name in sorted({*OWN, *wanted.devices, *wanted.sources, *wanted.renew}):
        if name not in with_password:
            hashes.pop(name, None)
        elif name not in hashes or name in wanted.renew:
            new[name] = new_password()
            hashes[name] = hash_of(new[name], os.urandom(_SALT_BYTES))
    for name in users.withdrawn:
        hashes.pop(name, None)
    return new


def hash_of(password: str, salt: bytes) -> str:
    """As `mosquitto_passwd` of Mosquitto 2 writes it: PBKDF2 with SHA-512."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, _HASH_BYTES)
    parts = (base64.b64encode(part).decode("ascii") for part in (salt, digest))
    return "$7${}${}${}".format(_ITERATIONS, *parts)


def _read_hashes(path: Path) -> dict[str, str]:
    """Users that were entered by others stay as they are."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read ({type(error).__name__})"
        hint = "it is Mosquitto's password file"
        raise BrokerError(BrokerReason.BAD_CREDENTIALS_FILE, str(path), message, hint) from None
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {name: hashed for name, _, hashed in pairs}


def _is_foreign(path: Path) -> bool:
    return path.exists() and not path.read_text("utf-8", "replace").startswith(_HEADER)


def _write(folder: Path, users: Users, hashes: Mapping[str, str]) -> None:
    """Who was withdrawn first: should we die in between, doing it again completes it."""
    write_secret(folder / "users.json", json.dumps(vars(users), indent=1))
    write_secret(folder / "acl", access_rules(users))
    lines = (f"{name}:{hashed}\n" for name, hashed in sorted(hashes.items()))
    write_secret(folder / "passwords", "".join(lines))


def access_rules(users: Users) -> str:
    """The ACL: each user by its name, which neither topic nor client id can change."""
    topics = [topic for own in users.sources.values() for topic in own]
    rights = [f"topic read {topic}\n" for topic in topics]
    rights += [f"topic write {topic}\n" for topic in commands_to(topics)]
    sources = (
        # Denied, or it could speak for a device of its own name.
        f"user {name}\ntopic deny city/#\n"
        + "".join(f"topic write {t}\n" for t in own)
        + "".join(f"topic read {t}\n" for t in commands_to(own))
        for name, own in sorted(users.sources.items())
    )
    denied = (f"user {name}\ntopic deny #\n" for name in users.withdrawn)
    gateway = _GATEWAY + "".join(dict.fromkeys(rights))
    return "\n".join([f"{_HEADER}\n{_PATTERNS}", gateway, _EAR, *sources, *denied])
