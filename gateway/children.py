"""The processes beside the gateway: the console and the public page, kept alive as long as it is.

Each is this very program with another command. One that dies is started again, at growing pauses;
none can hold the gateway up, and none outlives it: a child ends when its standard input does.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.watch.logs import Log, Said

STOP_S = 8.0
PAUSE_S_MAX = 60.0
LONG_LIVED_S = 30.0
NICE = 10

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """`sense311 ARGUMENTS`."""

    name: str
    arguments: Sequence[str]


class Children:
    """`run` in a thread until `stop`."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._stopping = threading.Event()

    def run(self) -> None:
        minders = [threading.Thread(target=self._mind, args=(child,)) for child in self._children]
        for minder in minders:
            minder.start()
        for minder in minders:
            minder.join()

    def stop(self) -> None:
        self._stopping.set()

    def _mind(self, child: Child) -> None:
        pause_s = 1.0
        while not self._stopping.is_set():
            born_s = time.monotonic()
            process = _begin(child)
            while process.poll() is None and not self._stopping.wait(0.2):
                pass
            _end(process)
            if self._stopping.is_set():
                return
            lived_long = time.monotonic() - born_s > LONG_LIVED_S
            pause_s = 1.0 if lived_long else min(2 * pause_s, PAUSE_S_MAX)
            told = {"child": child.name, "code": process.returncode, "again_in_s": pause_s}
            log.error(Said.CHILD_ENDED, "a process beside the gateway has ended", **told)
            self._stopping.wait(pause_s)


def _begin(child: Child) -> "subprocess.Popen[bytes]":
    """Its words go where the gateway's go."""
    return subprocess.Popen(  # noqa: S603 -- this very program, no shell
        [sys.executable, "-m", "gateway.cli", *child.arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def be_a_child() -> None:
    """In a child: it gives way to the gateway where both want the processor, and gets SIGTERM as
    soon as the gateway is gone, however it went.
    """
    with suppress(PermissionError):  # a service manager may forbid even that
        os.nice(NICE)

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
