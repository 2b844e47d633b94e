"""The stage of the demo: its processes, started, kept alive, stopped.

Each part is a real process of its own, with its words in a file. One that dies is started again at
once, at the address it had. `pids.json` says which process plays which part at any time. When the
stage is left, none of them lives on.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

POLL_S = 0.05
STOP_S = 15.0  # a gateway that drains, a broker that closes its store
HASTY_S = 2.0  # who dies within this has not started
HASTY_DEATHS_MAX = 5  # in a row: then something is wrong that starting again does not mend
LAST_WORDS_BYTES = 4096


class StageError(Exception):
    """A part did not come up, or cannot be kept up; the message says which and its last words."""


@dataclass(slots=True)
class Part:
    """One process. `ends`: it may end by itself, with code 0, and is not started again then."""

    name: str
    arguments: list[str]
    ends: bool
    process: "subprocess.Popen[bytes]"
    born_s: float
    restarts: int = 0
    hasty_deaths: int = 0
    told: dict[str, Any] = field(default_factory=dict)


class Stage:
    """Usable as a context manager: leaving it stops every part, last started first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._words = folder / "logs"
        self._words.mkdir(parents=True, exist_ok=True)
        self._parts: dict[str, Part] = {}
        self._told = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except KeyboardInterrupt:
            self.stop()
            raise

    def start(self, name: str, *arguments: str | Path, ends: bool = False) -> None:
        """`sense311 ARGUMENTS` as a process named `name`."""
        words = [str(argument) for argument in arguments]
        self._parts[name] = Part(name, words, ends, self._spawn(name, words), time.monotonic())
        self._tell()

    def address(self, name: str, timeout_s: float) -> str:
        """The URL that a part tells in its first line of output. It keeps its port from then on."""
        part = self._parts[name]
        self.wait_for(f"{name} to start", timeout_s, lambda: self._heard(part))
        url = str(part.told["url"])
        part.arguments += ["--port", url.rpartition(":")[2].strip("/")]
        return url

    def wait_for(self, what: str, timeout_s: float, ready: Callable[[], bool]) -> None:
        """Raises StageError when it takes too long."""
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline_s:
                raise StageError(f"waited {timeout_s:.0f} s for {what}\n{self._last_words()}")
            self.tend()
            time.sleep(POLL_S)

    def tend(self) -> None:
        """Start again who has died. Raises StageError for one that dies again and again."""
        for part in self._parts.values():
            code = part.process.poll()
            if code is not None and not (part.ends and code == 0):
                self._revive(part, code)
        self._tell()

    def ended(self, name: str) -> bool:
        """Whether a part that may end has done so, and well."""
        return self._parts[name].process.poll() == 0

    @property
    def restarts(self) -> dict[str, int]:
        return {part.name: part.restarts for part in self._parts.values() if part.restarts}

    def output(self, name: str) -> dict[str, Any]:
        """The last JSON object on a part's standard output; empty if there is none yet."""
        return _last_object(self._words / f"{name}.out")

    def progress(self, name: str) -> dict[str, Any]:
        """Likewise on its standard error."""
        return _last_object(self._words / f"{name}.log")

    def stop(self) -> None:
        """Ask each to end, last started first; kill who does not."""
        for part in reversed(self._parts.values()):
            with suppress(ProcessLookupError):
                part.process.terminate()
            try:
                part.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
        self._stop_orphan()
        self._parts.clear()
        self._tell()

    # -- the parts ----------------------------------------------------------------------------

    def _spawn(self, name: str, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        out, log = (self._words / f"{name}{suffix}" for suffix in (".out", ".log"))
        with out.open("ab") as out_file, log.open("ab") as log_file:
            return subprocess.Popen(  # noqa: S603 - this very program, no shell
                [sys.executable, "-m", "gateway.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C is the demo's to hear: it stops them in order
            )

    def _revive(self, part: Part, code: int) -> None:
        hasty = time.monotonic() - part.born_s < HASTY_S and code != -signal.SIGKILL
        part.hasty_deaths = part.hasty_deaths + 1 if hasty else 0
        if part.hasty_deaths >= HASTY_DEATHS_MAX:
            raise StageError(f"{part.name} does not stay up\n{self._last_words(part.name)}")
        part.restarts += 1
        part.process = self._spawn(part.name, part.arguments)
        part.born_s = time.monotonic()

    def _heard(self, part: Part) -> bool:
        part.told = self.output(part.name)
        return "url" in part.told

    def _tell(self) -> None:
        """pids.json, whenever it changes; written whole or not at all."""
        pids = {name: part.process.pid for name, part in self._parts.items()}
        server = self._server()
        text = json.dumps(pids | ({"nats-server": server} if server else {}))
        if text != self._told:
            draft = self.folder / "pids.tmp"
            draft.write_text(text, "utf-8")
            draft.replace(self.folder / "pids.json")
            self._told = text

    def _server(self) -> int | None:
        """The broker's own child, as the broker notes it beside its data."""
        try:
            pid = int((self.folder / "broker" / "lock").read_text("ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder / "broker").encode() in command else None

    def _stop_orphan(self) -> None:
        """A broker that was killed leaves its server behind."""
        server = self._server()
        if server is not None:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGTERM)

    def _last_words(self, name: str = "") -> str:
        return "\n".join(self._words_of(name or None))

    def _words_of(self, name: str | None) -> Iterator[str]:
        for part in self._parts.values():
            lines = _tail(self._words / f"{part.name}.log").splitlines()
            if lines and (name is None or part.name == name):
                yield f"{part.name}: {lines[-1]}"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LAST_WORDS_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_object(path: Path) -> dict[str, Any]:
    for line in reversed(_tail(path).splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return {}
