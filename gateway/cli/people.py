"""Commands about who may enter the console and its interface: `users`, `tokens`.

They change the file of accounts in the store's folder; a running console sees it at once. A
password or a token that was made is in the answer, this once, and nowhere else.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Code, Json, answer, fail, say, table, told_plainly
from gateway.cli.service import ConfigFile
from gateway.staff.people import Role

if TYPE_CHECKING:
    from gateway.staff.accounts import Accounts

users = typer.Typer(no_args_is_help=True, help="People of the console: who, in which role.")
tokens = typer.Typer(no_args_is_help=True, help="Programs that may use the HTTP interface.")

_USER_COLUMNS = ("name", "role", "since")
_TOKEN_COLUMNS = ("name", "role", "since", "expires", "state")
_LINE_CHARS_MAX = 4096
_ONCE = "it is shown this once and kept nowhere"

Name = Annotated[str, typer.Argument(help="Small letters, digits and . _ @ - after the first.")]
RoleOption = Annotated[
    Role,
    typer.Option(help="viewer: looks; operator: steps in; admin: changes rules, stops filing."),
]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Its first line is the password, 12 or more.")
]


# -- people ----------------------------------------------------------------------------------------


@users.command("add")
def add_user(
    config: ConfigFile,
    name: Name,
    role: RoleOption,
    *,
    password_stdin: Stdin = False,
    json: Json = False,
) -> None:
    """Let somebody in, with a new password that is shown once, or with one of your own."""
    given = _from_stdin(as_json=json) if password_stdin else None
    with told_plainly(as_json=json):
        password = _accounts(config).add_user(name, role, _now_ms(), given)
    _tell_password(name, role, password if given is None else None, as_json=json)


@users.command("ls")
def list_users(config: ConfigFile, *, json: Json = False) -> None:
    """Everybody who may enter."""
    with told_plainly(as_json=json):
        found = _accounts(config).users()
    rows = [{"name": u.name, "role": str(u.role), "since": _written(u.since_ms)} for u in found]
    answer({"users": rows}, table(rows, _USER_COLUMNS), as_json=json)


@users.command("role")
def set_role(
    config: ConfigFile,
    name: Name,
    role: Annotated[Role, typer.Argument(help="The new one.")],
    *,
    json: Json = False,
) -> None:
    """Another role; who is signed in has to sign in again."""
    with told_plainly(as_json=json):
        _accounts(config).set_role(name, role)
    answer({"ok": True, "name": name, "role": str(role)}, [f"{name} is {role}"], as_json=json)


@users.command("password")
def set_password(
    config: ConfigFile, name: Name, *, password_stdin: Stdin = False, json: Json = False
) -> None:
    """Another password in place of one that was lost; who is signed in with it is no more."""
    given = _from_stdin(as_json=json) if password_stdin else None
    with told_plainly(as_json=json):
        accounts = _accounts(config)
        password = accounts.set_password(name, given)
        role = next(user.role for user in accounts.users() if user.name == name)
    _tell_password(name, role, password if given is None else None, as_json=json)


@users.command("end")
def end_user(config: ConfigFile, name: Name, *, json: Json = False) -> None:
    """Let somebody in no more; who is signed in is out at once."""
    with told_plainly(as_json=json):
        _accounts(config).end_user(name)
    answer({"ok": True, "name": name}, [f"{name} is let in no more"], as_json=json)


# -- programs --------------------------------------------------------------------------------------


@tokens.command("add")
def add_token(
    config: ConfigFile,
    name: Name,
    role: RoleOption,
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is good.")] = 90,
    json: Json = False,
) -> None:
    """A token for one program, shown once: `Authorization: Bearer TOKEN`."""
    with told_plainly(as_json=json):
        text, token = _accounts(config).add_token(name, role, _now_ms(), days)
    expires = _written(token.expires_ms)
    told = {"ok": True, "name": name, "role": str(role), "token": text, "expires": expires}
    answer(told, [text], as_json=json)
    say(f"{name} is {role} until {expires}; {_ONCE}")


@tokens.command("ls")
def list_tokens(config: ConfigFile, *, json: Json = False) -> None:
    """All tokens by name, those that have expired too."""
    with told_plainly(as_json=json):
        found = _accounts(config).tokens()
    now_ms = _now_ms()
    rows = [
        {
            "name": token.name,
            "role": str(token.role),
            "since": _written(token.since_ms),
            "expires": _written(token.expires_ms),
            "state": "good" if now_ms < token.expires_ms else "expired",
        }
        for token in found
    ]
    answer({"tokens": rows}, table(rows, _TOKEN_COLUMNS), as_json=json)


@tokens.command("end")
def end_token(config: ConfigFile, name: Name, *, json: Json = False) -> None:
    """The token is good for nothing from now on."""
    with told_plainly(as_json=json):
        _accounts(config).end_token(name)
    answer({"ok": True, "name": name}, [f"the token {name} is good no more"], as_json=json)


def _tell_password(name: str, role: Role, made: str | None, *, as_json: bool) -> None:
    told = {"ok": True, "name": name, "role": str(role)}
    lines = [f"{name} is {role}"]
    if made is not None:
        told["password"] = made
        lines.append(made)
    answer(told, lines, as_json=as_json)
    if made is not None:
        say(f"the password of {name}: {_ONCE}")


def _from_stdin(*, as_json: bool) -> str:
    try:
        line = sys.stdin.readline(_LINE_CHARS_MAX)
    except UnicodeDecodeError:
        line = ""
    if not line.strip():
        message = "--password-stdin: no password on standard input, as one line of UTF-8"
        fail(message, Code.USAGE, as_json=as_json)
    return line.rstrip("\r\n")


def _accounts(config: Path) -> "Accounts":
    from gateway.config import read_settings
    from gateway.staff.accounts import Accounts

    return Accounts(read_settings(config).store.folder)


def _now_ms() -> int:
    from gateway.clock import SystemClock

    return SystemClock().now_ms()


def _written(ms: int) -> str:
    from gateway.cityhall.requests import rfc3339

    return rfc3339(ms)
