"""SIGHUP for the broker that runs, so that it reads its users again, and for nobody else.

It signals a process only when that process is what it is taken for: the bundled server that holds
the lock of its folder, or a Mosquitto. A number that has been given to another process since is
not signalled. It starts and ends nothing.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.access.credentials import BrokerError, BrokerReason

_BUNDLED = "nats-server"
_MOSQUITTO = "mosquitto"


def tell_bundled(folder: Path) -> bool:
    """Whether a server runs in the folder; if so, it has been told. BrokerError: not allowed."""
    lock = folder / "lock"
    try:
        pid = int(lock.read_text("ascii"))
    except (OSError, ValueError):
        return False  # none has run here, or one is starting and will read all of it
    with _process(pid) as process:
        if process is None or _name(pid) != _BUNDLED or not _holds(pid, lock):
            return False
        _hang_up(process, pid)
        return True


def tell_mosquitto(pid: int, *, only_look: bool = False) -> None:
    """BrokerError: there is no such process, it is no Mosquitto, or it is somebody else's."""
    with _process(pid) as process:
        name = _name(pid) if process is not None else None
        if process is None or name is None:
            raise _refusal(pid, "is not running, or cannot be seen from here")
        if name != _MOSQUITTO:
            raise _refusal(pid, f"is {name}, not {_MOSQUITTO}; it was not signalled")
        if not only_look:
            _hang_up(process, pid)


def pid_in(path: Path) -> int:
    """The process that a pid file names. BrokerError: it names none."""
    try:
        pid = int(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        message = f"names no process ({type(error).__name__})"
        hint = "`pid_file` in mosquitto.conf says where Mosquitto writes it"
        raise BrokerError(BrokerReason.NOT_RUNNING, str(path), message, hint) from None
    return pid


def _refusal(pid: int, message: str) -> BrokerError:
    hint = "leave out who is to be told, and kill -HUP the broker yourself"
    return BrokerError(BrokerReason.NOT_RUNNING, f"process {pid}", message, hint)


@contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A handle that stays with this very process, whoever gets its number afterwards."""
    descriptor = None
    if pid > 0 and hasattr(os, "pidfd_open"):
        with suppress(OSError):
            descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _name(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return None


def _holds(pid: int, lock: Path) -> bool:
    """The server was given the lock when it was started, and keeps it open as long as it lives."""
    try:
        wanted = lock.stat()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # one that was closed while we look
                if os.path.samestat(entry.stat(), wanted):
                    return True
    except PermissionError:
        raise _refusal(pid, "is somebody else's: it cannot be told from here") from None
    except OSError:
        return False
    return False


def _hang_up(process: int, pid: int) -> None:
    try:
        signal.pidfd_send_signal(process, signal.SIGHUP)
    except PermissionError:
        raise _refusal(pid, "is somebody else's: it cannot be told from here") from None
    except ProcessLookupError:
        raise _refusal(pid, "has just ended") from None
