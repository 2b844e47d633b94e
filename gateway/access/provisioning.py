"""Credentials of devices and sources: given, renewed and withdrawn, on either broker.

A device's user has the device's name and may speak for nobody else. What it needs is handed over as
`devices/NAME.json` in the broker's folder, readable by its owner only. Giving twice changes
nothing. A broker that runs is told, and where it can be seen, it is seen to have listened.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.access import mosquitto
from gateway.access.credentials import (
    KEEPER_USER,
    BrokerConfig,
    BrokerError,
    BrokerReason,
    Credentials,
    check_users,
    config_of,
    prepare,
    users_of,
)
from gateway.access.hangup import tell_bundled
from gateway.access.logins import Login, login_path, write_login
from gateway.access.self_test import wait_until_admitted
from gateway.errors import ConfigError
from rules.finding import Finding

SELF_TEST_USERS: Mapping[str, Sequence[str]] = {
    mosquitto.SELF_TEST_DEVICE: [mosquitto.SELF_TEST_DEVICE]
}
"""Of the bundled broker: it may speak for a device that is no asset's."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED = {*mosquitto.OWN, mosquitto.SELF_TEST_OTHER, KEEPER_USER}
_IN_FORCE_S = 60.0  # 100,000 users take about 10 s to read


class State(StrEnum):
    NEW = "new"
    KEPT = "kept"
    ROTATED = "rotated"
    REVOKED = "revoked"


class Given(NamedTuple):
    """What became of one user. `login` None: nothing of it is left, or it was handed out before."""

    user: str
    state: State
    file: Path
    login: Login | None


class Keyring(Protocol):
    """The users of one broker. ConfigError: a name that cannot be; BrokerError: the files."""

    def provision(
        self, devices: Sequence[str], sources: Mapping[str, Sequence[str]]
    ) -> list[Given]: ...
    def rotate(self, names: Sequence[str]) -> list[Given]: ...
    def revoke(self, names: Sequence[str]) -> list[Given]: ...


def refuse(names: Sequence[tuple[str, str, str]]) -> None:
    """(name, what is wrong, how to mend it) of each, as findings."""
    if names:
        raise ConfigError([Finding(n, 1, 1, "E430", wrong, help_) for n, wrong, help_ in names])


def check(devices: Sequence[str], sources: Mapping[str, Sequence[str]]) -> None:
    """All that is wrong with new users at once."""
    wrong = []
    for name in (*devices, *sources):
        if not NAME.fullmatch(name):
            wrong.append((name, "not a device id", f"a device id matches {NAME.pattern}"))
        elif name in RESERVED:
            wrong.append((name, "is the broker's own", "choose another name"))
    refuse(wrong)
    try:
        check_users(BrokerConfig(Path(), devices={d: [d] for d in devices}, sources=sources))
    except BrokerError as error:
        refuse([(error.path, error.message, error.hint)])


def check_known(names: Sequence[str], known: Collection[str], where: Path) -> None:
    help_ = f"{where} says who may speak; `sense311 devices provision` adds to it"
    refuse([(n, "has no credentials here", help_) for n in names if n not in known])


class Bundled:
    """The users of the bundled broker in a folder; it need not have run yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def provision(
        self, devices: Sequence[str], sources: Mapping[str, Sequence[str]]
    ) -> list[Given]:
        check(devices, sources)
        before = users_of(self._folder)
        self._check_free(before, devices, sources)
        own = {name: [name] for name in devices}
        after = _logins(self._prepare(devices=own, sources=sources))
        known = _logins(before) if before else {}
        return [
            self._hand_over(after[name], State.KEPT if name in known else State.NEW)
            for name in (*own, *sources)
        ]

    def rotate(self, names: Sequence[str]) -> list[Given]:
        before = self._known(names)
        devices = {n: before["devices"][n]["devices"] for n in names if n in before["devices"]}
        sources = {n: before["sources"][n]["topics"] for n in names if n in before["sources"]}
        after = _logins(self._prepare(devices, sources, frozenset(names)))
        return [self._hand_over(after[name], State.ROTATED) for name in dict.fromkeys(names)]

    def revoke(self, names: Sequence[str]) -> list[Given]:
        """The logins are those that are no longer let in."""
        before = self._known(names)
        gone: dict[str, dict[str, list[str]]] = {"devices": {}, "sources": {}}
        for name in names:
            gone["devices" if name in before["devices"] else "sources"][name] = []
        self._prepare(devices=gone["devices"], sources=gone["sources"])
        logins = _logins(before)
        given = []
        for name in dict.fromkeys(names):
            path = login_path(self._folder, name)
            write_login(path, None)
            given.append(Given(name, State.REVOKED, path, logins[name]))
        return given

    def tell(self, given: Sequence[Given]) -> bool:
        """Whether a server runs; if so, the change is in force. BrokerError: it is not."""
        if not given or not tell_bundled(self._folder):
            return False
        last = given[-1]
        if last.login is None:
            return True
        admitted = last.state is not State.REVOKED
        try:
            in_force = wait_until_admitted(last.login, admitted=admitted, timeout_s=_IN_FORCE_S)
        except OSError:
            return False  # it has ended meanwhile; what is written counts when it comes back
        if not in_force:
            message = f"the server was told, but {last.user} is {'not yet' * admitted} let in"
            hint = "nats.log says why; a restart of the broker takes the change in"
            raise BrokerError(BrokerReason.NOT_IN_FORCE, str(self._folder), message, hint)
        return True

    def _known(self, names: Sequence[str]) -> Credentials:
        before = users_of(self._folder)
        if before is None:
            raise _nothing_here(self._folder)
        known = _logins(before).keys() - RESERVED
        check_known(names, known, self._folder / "credentials.json")
        return before

    def _check_free(
        self,
        before: Credentials | None,
        devices: Sequence[str],
        sources: Mapping[str, Sequence[str]],
    ) -> None:
        """A user with wider rights does not become a device's by the way."""
        if before is None:
            return
        wrong = "is a user with other rights already"
        taken = [n for n in devices if before["devices"].get(n, {"devices": [n]})["devices"] != [n]]
        taken += [n for n in devices if n in before["sources"]]
        taken += [n for n in sources if n in before["devices"]]
        refuse([(name, wrong, "choose another name, or revoke it first") for name in taken])

    def _prepare(
        self,
        devices: Mapping[str, Sequence[str]],
        sources: Mapping[str, Sequence[str]],
        renew: frozenset[str] = frozenset(),
    ) -> Credentials:
        config = config_of(self._folder)
        return prepare(replace(config, devices=devices, sources=sources, renew=renew))

    def _hand_over(self, login: Login, state: State) -> Given:
        path = login_path(self._folder, login.user)
        write_login(path, login)
        return Given(login.user, state, path, login)


def _logins(users: Credentials) -> dict[str, Login]:
    """By user, devices and sources alike."""
    devices = {name: login["password"] for name, login in users["devices"].items()}
    sources = {name: login["password"] for name, login in users["sources"].items()}
    return {
        name: Login(users["url"], name, password) for name, password in (devices | sources).items()
    }


def self_test_logins(folder: Path) -> tuple[Login, Login]:
    """The gateway's, to listen, and that of the device that may speak for itself only.

    BrokerError: no broker has run here.
    """
    users = users_of(folder)
    if users is None or mosquitto.SELF_TEST_DEVICE not in users["devices"]:
        raise _nothing_here(folder)
    gateway = Login(users["url"], users["gateway"]["user"], users["gateway"]["password"])
    return gateway, _logins(users)[mosquitto.SELF_TEST_DEVICE]


def _nothing_here(folder: Path) -> BrokerError:
    hint = "name the folder that `sense311 broker --dir` was given"
    return BrokerError(BrokerReason.NOT_RUNNING, str(folder), "no broker has run here", hint)
