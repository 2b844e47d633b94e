"""What one party needs to speak to a broker, as a file of its own that only its owner may read.

A login has a password or a certificate, never prints the password, and is written whole or not at
all. Whom it lets speak is said elsewhere.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.access.credentials import BrokerError, BrokerReason, write_secret


@dataclass(frozen=True, slots=True)
class Login:
    """`ca_file`, `certificate` and `key`: of a broker that speaks TLS."""

    url: str
    user: str
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None

    def as_json(self) -> dict[str, Any]:
        """With the password."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def login_path(folder: Path, user: str) -> Path:
    return folder / "devices" / f"{user}.json"


def write_login(path: Path, login: Login | None) -> None:
    """None: it is taken away."""
    if login is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, json.dumps(login.as_json(), indent=1) + "\n")


def read_login(path: Path) -> Login:
    """Of one party, or the gateway's out of a broker's `credentials.json`. BrokerError."""
    try:
        found = json.loads(path.read_bytes())
        if "gateway" in found:
            found = {"url": found["url"], **found["gateway"]}
        texts = {key: str(value) for key, value in found.items()}
        return Login(**texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokerError(
            BrokerReason.BAD_CREDENTIALS_FILE,
            str(path),
            f"is not a login ({type(error).__name__})",
            "`sense311 devices provision` writes them, one for each device",
        ) from None
