"""What the service manager is told: that a service has begun, that it lives, that it ends.

By systemd's notification protocol, sd_notify(3): a datagram to the socket that the environment
names; where it names none, nobody is told. Never decides whether the service lives, and never
holds it up: a manager that does not listen costs no more than the word.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress

STATUS_CHARS_MAX = 200


class Supervisor:
    """`environment`: of the process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{named[1:]}" if named.startswith("@") else named

    def began(self) -> None:
        """It does what it is there for, or waits only for others."""
        self._tell("READY=1")

    def lives(self, status: str) -> None:
        """To be said at least as often as the manager's watchdog asks. `status`: for people."""
        line = " ".join(status.split())[:STATUS_CHARS_MAX]
        self._tell(f"WATCHDOG=1\nSTATUS={line}")

    def ends(self) -> None:
        self._tell("STOPPING=1\nSTATUS=stopping")

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(words.encode(), self._address)
