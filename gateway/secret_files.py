"""The files that hold secrets: named by the configuration, readable by their owner only.

What they hold is kept in values that print as stars, and stands in no finding. Every file that
cannot be used is a finding of the key that names it.
"""

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from rules.finding import Finding

if TYPE_CHECKING:
    from gateway.config import Config

_CREDENTIALS = Path("/run/credentials")
_HANDED_OUT = (
    "systemd puts it there while the service runs, by LoadCredential= of the unit; start it, then "
    "see `systemctl status`"
)
_OWN_FILE = "a file of its own that only its owner may read, holding nothing else"
SECRET_BYTES_MAX = 64 * 1024 * 1024  # a broker's credentials of 100,000 devices


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the named files hold. Not printable."""

    broker_url: str
    broker_user: str | None
    broker_password: SecretStr | None
    api_key: SecretStr | None
    history_token: SecretStr | None
    emergency_key: SecretStr | None = None


NO_SECRETS = Secrets("", None, None, None, None)
"""Of who connects to nothing."""


def broker_address(url: str) -> str:
    """The URL, if it is one of a broker. ValueError: it is not."""
    try:
        parts = urlsplit(url)
        bad = not parts.hostname or parts.port == 0 or not parts.hostname.encode("idna")
    except ValueError:  # a port beyond 65535, a name that no host can have
        bad = True
    if bad or not re.fullmatch(r"mqtts?://[^/@\s?#]+/?", url):
        raise ValueError("mqtt://host:port or mqtts://host:port; no user or password in it")
    return url


class _Login(NamedTuple):
    """What a credentials file holds."""

    url: str
    user: str
    password: str


def read_secrets(config: "Config") -> tuple[Secrets, list[Finding]]:
    findings: list[Finding] = []

    def secret(keys: list[str], path: Path | None) -> SecretStr | None:
        if path is None:
            return None
        try:
            return SecretStr(_secret(path))
        except ValueError as error:
            help_ = _HANDED_OUT if path.is_relative_to(_CREDENTIALS) else _OWN_FILE
            findings.append(config.finding(keys, "E405", f"{path}: {error}", help_))
            return None

    broker = config.broker
    password = secret(["broker", "password_file"], broker.password_file)
    secret(["broker", "key_file"], broker.key_file)  # read again by the one who needs it
    login = None
    given = secret(["broker", "credentials"], broker.credentials)
    if given is not None:
        login = _login(given)
        if login is None:
            message = "credentials is not a broker's credentials file"
            help_ = "sense311 broker writes this file"
            findings.append(config.finding(["broker", "credentials"], "E406", message, help_))
    elif broker.credentials is None and broker.url is None:
        help_ = 'url = "mqtt://127.0.0.1:1883", or credentials = "broker/credentials.json"'
        findings.append(config.finding(["broker"], "E403", "no broker named", help_))
    if password is None and login is not None:
        password = SecretStr(login.password)
    token_file = config.history.token_file if config.history else None
    emergency = config.emergency
    secrets = Secrets(
        broker.url or (login.url if login else ""),
        broker.username or (login.user if login else None),
        password,
        secret(["city", "api_key_file"], config.city.api_key_file),
        secret(["history", "token_file"], token_file),
        secret(["emergency", "api_key_file"], emergency.api_key_file if emergency else None),
    )
    return secrets, findings


def _login(text: SecretStr) -> _Login | None:
    try:
        tree = json.loads(text.get_secret_value())
        gateway = tree["gateway"]
        return _Login(
            broker_address(str(tree["url"])), str(gateway["user"]), str(gateway["password"])
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _forbidden(path: Path) -> int:
    """The rights that nobody but the owner may have. systemd hands credentials out by an access
    list, which shows as a right of the group to read (systemd 254 and later).
    """
    handed_out = os.environ.get("CREDENTIALS_DIRECTORY")
    if handed_out and path.absolute().parent == Path(handed_out):
        return stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
    return stat.S_IRWXO | stat.S_IRWXG


def _secret(path: Path) -> str:
    """The content of a file that only its owner may read."""
    try:
        if path.stat().st_mode & _forbidden(path):
            raise ValueError(f"others may read it; chmod 600 {path.name}")
        with path.open("rb") as file:
            data = file.read(SECRET_BYTES_MAX + 1)
        text = data.decode("utf-8").strip()
    except OSError as error:
        raise ValueError(f"cannot read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if len(data) > SECRET_BYTES_MAX:
        raise ValueError("larger than 64 MiB")
    if not text:
        raise ValueError("it is empty")
    return text
