"""The status file: what the gateway last said of itself, for people and for watchdogs.

Written whole or not at all, and also when the disk is full: then in place, into the room that it
has already. One that is old says that the gateway is not running. Beside it lies what is asked of
the gateway from outside: an empty file for each request to reload, named by its ticket, so that no
process id has to be known or trusted and the answer can say whom it answers.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE_BYTES = 16_384  # it never shrinks below this, so that there is room for a red one
_REQUEST = "reload-request-"
OLD_MS = 15_000  # it is written every second; a batch on a slow disk may take a few


def write_status(folder: Path, status: Mapping[str, Any]) -> None:
    """OSError: it could not be written, not even in place."""
    path = folder / "status.json"
    draft = path.with_suffix(".tmp")
    data = json.dumps(status).encode().ljust(FILE_BYTES)
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        with path.open("r+b") as file:
            file.write(data)


def read_status(folder: Path, now_ms: int) -> dict[str, Any]:
    """What was said last; red if that was too long ago. OSError: nothing was ever said."""
    said: dict[str, Any] = json.loads((folder / "status.json").read_bytes())
    if now_ms - said["at_ms"] > OLD_MS:
        said |= {"state": "red", "problem": "the gateway is not running"}
    return said


def ask_reload(folder: Path) -> str:
    """Ask the gateway of this folder to read its files again; the ticket that its answer names."""
    ticket = secrets.token_hex(8)
    (folder / f"{_REQUEST}{ticket}").touch()
    return ticket


def drop_reload_request(folder: Path, ticket: str) -> None:
    """Nobody waits for it any more."""
    (folder / f"{_REQUEST}{ticket}").unlink(missing_ok=True)


def take_reload_requests(folder: Path) -> list[str]:
    """The tickets of those who ask. What cannot be taken away is not taken: it would come again."""
    tickets = []
    for path in sorted(folder.glob(f"{_REQUEST}*")):
        with suppress(OSError):
            path.unlink()
            tickets.append(path.name.removeprefix(_REQUEST))
    return tickets
