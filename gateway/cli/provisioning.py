"""Commands about who may speak: `devices provision`, `rotate`, `revoke`, `self-test`.

Each works on the folder of one broker, the bundled one or a Mosquitto, and tells it when it runs.
Passwords go into files; they are shown only where `--show` asks for them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gateway.cli.output import Code, Json, answer, fail, say, told_plainly

if TYPE_CHECKING:
    from gateway.access.logins import Login
    from gateway.access.provisioning import Given, Keyring

_Names = Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Devices, or sources.")]
_Bundled = Annotated[
    Path | None, typer.Option("--broker", metavar="DIR", help="The bundled broker's folder.")
]
_Mosquitto = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The folder of Mosquitto's passwords and ACL.")
]
_Certificates = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Mosquitto: certificates of the authority there, not passwords."
    ),
]
_PidFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Names the Mosquitto to be told.")
]
_ReloadPid = Annotated[
    int | None, typer.Option(metavar="PID", help="The Mosquitto to be told, by its number.")
]
_Show = Annotated[bool, typer.Option("--show", help="Print the passwords too.")]


def add_to(group: typer.Typer) -> None:
    """The commands of this room, beside the others about devices."""
    for command in (provision, rotate, revoke):
        group.command()(command)
    group.command("self-test")(self_test)


class _Place(NamedTuple):
    """Which broker is meant, and how it is told: a Mosquitto by `pid`, 0 where none is named."""

    bundled: Path | None
    mosquitto: Path | None
    pid: int

    @property
    def kind(self) -> str:
        return "bundled" if self.bundled is not None else "mosquitto"


def provision(
    devices: Annotated[list[str] | None, typer.Argument(metavar="DEVICE...")] = None,
    broker: _Bundled = None,
    mosquitto: _Mosquitto = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="A source: not a device, but a platform.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="FILTER", help="What the source publishes to.")
    ] = None,
    url: Annotated[str, typer.Option(help="Mosquitto: where devices reach it.")] = "",
    gateway_url: Annotated[
        str, typer.Option(help="Mosquitto: where the gateway does, if elsewhere.")
    ] = "",
    certificates: _Certificates = None,
    pid_file: _PidFile = None,
    reload_pid: _ReloadPid = None,
    *,
    show: _Show = False,
    json: Json = False,
) -> None:
    """Give devices credentials: each may speak for itself only. What it has, it keeps.

    The login of each goes into DIR/devices/NAME.json, which only its owner may read.
    """
    if (source is None) != (not topic):
        fail("provision: --source NAME and --topic FILTER go together", Code.USAGE, as_json=json)
    if not devices and source is None:
        fail("provision: name a device, or a --source", Code.USAGE, as_json=json)
    place = _place(broker, mosquitto, reload_pid, pid_file, as_json=json)
    sources = {source: topic or []} if source is not None else {}
    with told_plainly(as_json=json):
        addresses = _checked(url), _checked(gateway_url)
        ring = _keyring(place, certificates, *addresses)
        given = ring.provision(devices or [], sources)
        _report(place, given, show=show, as_json=json)


def rotate(
    devices: _Names,
    broker: _Bundled = None,
    mosquitto: _Mosquitto = None,
    certificates: _Certificates = None,
    pid_file: _PidFile = None,
    reload_pid: _ReloadPid = None,
    *,
    show: _Show = False,
    json: Json = False,
) -> None:
    """Give new credentials in place of old ones, which are no longer let in."""
    place = _place(broker, mosquitto, reload_pid, pid_file, as_json=json)
    with told_plainly(as_json=json):
        given = _keyring(place, certificates).rotate(devices)
        _report(place, given, show=show, as_json=json)


def revoke(
    devices: _Names,
    broker: _Bundled = None,
    mosquitto: _Mosquitto = None,
    certificates: _Certificates = None,
    pid_file: _PidFile = None,
    reload_pid: _ReloadPid = None,
    *,
    json: Json = False,
) -> None:
    """Withdraw credentials: who is connected with them is cut off, and never let in again."""
    place = _place(broker, mosquitto, reload_pid, pid_file, as_json=json)
    with told_plainly(as_json=json):
        given = _keyring(place, certificates).revoke(devices)
        _report(place, given, show=False, as_json=json)


def self_test(
    broker: _Bundled = None,
    mosquitto: _Mosquitto = None,
    gateway_login: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any broker: the gateway's login.")
    ] = None,
    device_login: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any broker: that of device self-test-a.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Publish and listen as the wrong device: exit 1 if the running broker lets any of it pass."""
    from gateway.access.logins import read_login
    from gateway.access.self_test import try_broker

    given = (broker, mosquitto, gateway_login)
    if sum(each is not None for each in given) != 1 or (gateway_login is None) != (
        device_login is None
    ):
        message = "self-test: one of --broker DIR, --mosquitto DIR, or both logins"
        fail(message, Code.USAGE, as_json=json)
    with told_plainly(as_json=json):
        if gateway_login is not None and device_login is not None:
            logins = read_login(gateway_login), read_login(device_login)
        else:
            logins = _own_logins(broker, mosquitto)
        trial = try_broker(*logins)
    url, seconds = logins[1].url, round(trial.seconds, 3)
    result = {"ok": not trial.leaks, "url": url, "leaks": trial.leaks, "seconds": seconds}
    lines = [f"{url}: a device {leak}" for leak in trial.leaks]
    answer(result, lines or [f"{url}: devices are kept apart, tried in {seconds} s"], as_json=json)
    raise typer.Exit(Code.FINDINGS if trial.leaks else Code.GOOD)


def _own_logins(broker: Path | None, mosquitto: Path | None) -> tuple["Login", "Login"]:
    from gateway.access import mosquitto_users, provisioning

    if mosquitto is not None:
        return mosquitto_users.self_test_logins(mosquitto)
    assert broker is not None
    return provisioning.self_test_logins(broker)


def _place(
    bundled: Path | None,
    mosquitto: Path | None,
    pid: int | None,
    pid_file: Path | None,
    *,
    as_json: bool,
) -> _Place:
    if (bundled is None) == (mosquitto is None):
        message = "name one broker: --broker DIR for the bundled one, or --mosquitto DIR"
        fail(message, Code.USAGE, as_json=as_json)
    if bundled is not None and (pid is not None or pid_file is not None):
        message = "the bundled broker is found by its folder; a process is named for --mosquitto"
        fail(message, Code.USAGE, as_json=as_json)
    if pid_file is not None or pid is not None:
        from gateway.access.hangup import pid_in, tell_mosquitto

        with told_plainly(as_json=as_json):  # before anything is written
            pid = pid_in(pid_file) if pid_file is not None else pid or 0
            tell_mosquitto(pid, only_look=True)
    return _Place(bundled, mosquitto, pid or 0)


def _checked(url: str) -> str:
    """ConfigError: it is no broker's address."""
    from gateway.errors import ConfigError
    from gateway.secret_files import broker_address
    from rules.finding import Finding

    try:
        return broker_address(url) if url else ""
    except ValueError as error:
        finding = Finding("--url", 1, 1, "E431", f"{url!r} is no broker's address", str(error))
        raise ConfigError([finding]) from None


def _keyring(
    place: _Place, certificates: Path | None, url: str = "", gateway_url: str = ""
) -> "Keyring":
    from gateway.access.authority import Authority
    from gateway.access.mosquitto_users import ForMosquitto
    from gateway.access.provisioning import Bundled, refuse

    if place.bundled is not None:
        if certificates is not None or url or gateway_url:
            wrong = "is for --mosquitto: the bundled broker has passwords, on loopback"
            refuse([("--certificates" if certificates else "--url", wrong, "leave it out")])
        return Bundled(place.bundled)
    assert place.mosquitto is not None
    authority = Authority(certificates) if certificates is not None else None
    return ForMosquitto(place.mosquitto, url, gateway_url, authority)


def _report(place: _Place, given: Sequence["Given"], *, show: bool, as_json: bool) -> None:
    """Written; now the broker is told, and people hear what became of it."""
    told = _tell(place, given)
    users = [_shown(each, show=show) for each in given]
    result = {"ok": True, "broker": place.kind, "told": told, "users": users}
    lines = [
        "  ".join([user["user"], user["state"], user["file"] or "-", user.get("password", "")])
        for user in users
    ]
    answer(result, [line.rstrip() for line in lines], as_json=as_json)
    for each in given:
        if each.state == "kept" and each.login is None:
            say(f"{each.user}: {each.file} is gone; `rotate` gives it a new password")
    if not told:
        say(_UNTOLD[place.kind])


_UNTOLD = {
    "bundled": "no broker runs in this folder that can be told from here; it counts from its start",
    "mosquitto": "Mosquitto was not told: kill -HUP it, or name it with --pid-file or --reload-pid",
}


def _tell(place: _Place, given: Sequence["Given"]) -> bool:
    from gateway.access.hangup import tell_mosquitto
    from gateway.access.provisioning import Bundled

    if place.bundled is not None:
        return Bundled(place.bundled).tell(given)
    if place.pid:
        tell_mosquitto(place.pid)
    return bool(place.pid)


def _shown(each: "Given", *, show: bool) -> dict[str, Any]:
    login = each.login if each.state != "revoked" else None
    shown = {
        "user": each.user,
        "state": str(each.state),
        "file": str(each.file) if login is not None else None,
    }
    if show and login is not None and login.password is not None:
        shown["password"] = login.password
    return shown
