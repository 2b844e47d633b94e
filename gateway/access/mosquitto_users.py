"""Credentials of devices and sources on a Mosquitto whose files stand in a folder.

With an authority devices get certificates, without one passwords. The files are written before
anything is told to the broker, and who is withdrawn is denied before its certificate is revoked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.access import mosquitto
from gateway.access.authority import Authority
from gateway.access.credentials import GATEWAY_USER, write_secret
from gateway.access.logins import Login, login_path, read_login, write_login
from gateway.access.mosquitto import SELF_TEST_DEVICE, SELF_TEST_EAR
from gateway.access.provisioning import NAME, RESERVED, Given, State, check, check_known, refuse

_URL = "mqtt://127.0.0.1:1883"
_OTHER_RIGHTS = "is a user with other rights already"


class ForMosquitto:
    """Beside the files of `gateway.mosquitto` it owns `credentials.json`, the gateway's, and the
    logins in `devices/`. `url`, `gateway_url`: where devices and the gateway reach the broker;
    empty: as it was.
    """

    def __init__(
        self,
        folder: Path,
        url: str = "",
        gateway_url: str = "",
        authority: Authority | None = None,
    ) -> None:
        self._folder, self._authority = folder, authority
        self._url = url or mosquitto.users_of(folder).url or _URL
        self._gateway_url = gateway_url

    def provision(
        self, devices: Sequence[str], sources: Mapping[str, Sequence[str]]
    ) -> list[Given]:
        check(devices, sources)
        names = list(dict.fromkeys((*devices, *sources)))
        with mosquitto.changing(self._folder):
            users = mosquitto.users_of(self._folder)
            both = [n for n in devices if n in users.sources]
            both += [n for n in sources if n in users.devices]
            refuse([(name, _OTHER_RIGHTS, "revoke it first") for name in both])
            if self._authority is not None:
                for name in (*mosquitto.OWN, *names):
                    self._authority.issue(name)
            with_password = self._authority is None
            new = self._change(mosquitto.Change(devices, sources, passwords=with_password))
            states = [State.KEPT if users.known(name) else State.NEW for name in names]
            return [self._hand_over(n, new, s) for n, s in zip(names, states, strict=True)]

    def rotate(self, names: Sequence[str]) -> list[Given]:
        self._check_known(names)
        with mosquitto.changing(self._folder):
            users = mosquitto.users_of(self._folder)
            if self._authority is None:
                message = "has a certificate, not a password"
                by = "name the folder of its authority with --certificates"
                refuse([(n, message, by) for n in names if not users.devices.get(n, True)])
            else:
                for name in names:
                    self._authority.revoke(name)
                    self._authority.issue(name)
            new = self._change(mosquitto.Change(renew=frozenset(names)))
            return [self._hand_over(name, new, State.ROTATED) for name in dict.fromkeys(names)]

    def revoke(self, names: Sequence[str]) -> list[Given]:
        self._check_known(names)
        with mosquitto.changing(self._folder):
            self._change(mosquitto.Change(withdraw=names))
            given = []
            for name in dict.fromkeys(names):
                if self._authority is not None:
                    self._authority.revoke(name)
                path = login_path(self._folder, name)
                write_login(path, None)
                given.append(Given(name, State.REVOKED, path, None))
            return given

    def _check_known(self, names: Sequence[str]) -> None:
        users = mosquitto.users_of(self._folder)
        known = {*users.devices, *users.sources}
        if self._authority is not None:  # by hand, with the authority's own script
            known |= {n for n in names if NAME.fullmatch(n) and self._authority.has(n)}
        check_known(names, known - RESERVED, self._folder / "users.json")

    def _change(self, wanted: mosquitto.Change) -> dict[str, str]:
        """Writes the broker's files; its own users whose logins are missing get new ones."""
        paths = {name: login_path(self._folder, name) for name in (SELF_TEST_DEVICE, SELF_TEST_EAR)}
        paths[GATEWAY_USER] = self._folder / "credentials.json"
        lost = frozenset(name for name, path in paths.items() if not path.exists())
        new = mosquitto.change(
            self._folder, replace(wanted, renew=wanted.renew | lost, url=self._url)
        )
        self._write_gateway(paths[GATEWAY_USER], new.get(GATEWAY_USER))
        for name in (SELF_TEST_DEVICE, SELF_TEST_EAR):
            self._hand_over(name, new, State.KEPT)
        return new

    def _write_gateway(self, path: Path, password: str | None) -> None:
        """In the form that `broker.credentials` of the configuration names."""
        old = read_login(path) if path.exists() else Login(self._url, GATEWAY_USER)
        url = self._gateway_url or old.url
        user = {"user": GATEWAY_USER, "password": password or old.password}
        if password is not None or url != old.url:
            write_secret(path, json.dumps({"url": url, "gateway": user}, indent=1) + "\n")

    def _hand_over(self, name: str, new: Mapping[str, str], state: State) -> Given:
        path = login_path(self._folder, name)
        login = read_login(path) if path.exists() else None
        if self._authority is not None and self._authority.has(name):
            login = self._authority.login(self._url, name)
        elif name in new:
            login = Login(self._url, name, new[name])
        elif login is not None:
            login = replace(login, url=self._url)
        if login is not None:
            write_login(path, login)
        return Given(name, state, path, login)


def self_test_logins(folder: Path) -> tuple[Login, Login]:
    """One to listen with, and that of the device. BrokerError: nothing was provisioned here."""
    ear, device = login_path(folder, SELF_TEST_EAR), login_path(folder, SELF_TEST_DEVICE)
    return read_login(ear), read_login(device)
