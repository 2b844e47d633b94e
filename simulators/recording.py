"""Recordings of MQTT traffic: JSON Lines, gzipped where the name ends in .gz.

What is written reads back with the same topic, flags, time to the millisecond, and the same
payload: JSON payloads as JSON values, everything that would not survive that (no JSON, NaN,
duplicate keys) as base64 of its bytes. A bad line is refused with its number and reason.
"""

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn, Self, cast

from simulators.wire import Message, parse_rfc3339, rfc3339

LINE_CHARS_MAX = 4_000_000  # a 500-message batch of 64 KiB is never near; a runaway file is stopped

GZIP_LEVEL = 6  # a day of the city in a second; 9 takes three for a few percent


class RecordingError(ValueError):
    """A recording that cannot be read; the message names file, line and what is wrong."""


def write_recording(path: Path, messages: Iterable[Message]) -> int:
    """Writes the messages in the order given (by `t_ms`, says the contract); returns how many."""
    count = 0
    with _open_to_write(path) as file:
        for message in messages:
            file.write(_text(message))
            count += 1
    return count


class Tape:
    """A recording being made, in a file that was not there before. Up to the last `flush` it is
    whole, whatever happens to this process afterwards: each is a gzip member of its own. Usable as
    a context manager. Raises FileExistsError, OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("xb", buffering=0)
        self._zipped = path.name.endswith(".gz")
        self._waiting: list[bytes] = []
        self._last_ms = 0

    def write(self, message: Message) -> None:
        """A clock that was set back does not turn the order round."""
        self._last_ms = max(self._last_ms, message.t_ms)
        self._waiting.append(_text(message._replace(t_ms=self._last_ms)))

    def flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            if self._zipped:
                data = gzip.compress(data, GZIP_LEVEL, mtime=0)
            while data:
                data = data[self._file.write(data) :]

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        """What failed before its first message leaves no file behind."""
        self.close()
        if failed is not None and not self._path.stat().st_size:
            self._path.unlink()


def read_recording(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Message]:
    """The messages of a recording. Raises RecordingError at the first bad line. Lines that are not
    `wanted` are passed over unread.
    """
    number, last_ms = 0, 0
    try:
        with _open_to_read(path) as file:
            while line := file.readline(LINE_CHARS_MAX):
                number += 1
                if not wanted(line):
                    continue
                message = _message(line, last_ms)
                last_ms = message.t_ms
                yield message
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, gzip.BadGzipFile) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else error
        raise RecordingError(f"{path}:{number}: {what}") from None


@contextmanager
def _open_to_write(path: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as files:
        raw: IO[bytes] = files.enter_context(path.open("wb"))
        if path.name.endswith(".gz"):
            # No name and no time inside: the same messages give the same file.
            zipped = gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0)
            raw = cast(IO[bytes], files.enter_context(zipped))
        yield raw


def _open_to_read(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _text(message: Message) -> bytes:
    return json.dumps(_line(message), separators=(",", ":")).encode() + b"\n"


def _line(message: Message) -> dict[str, Any]:
    head = {
        "t": rfc3339(message.t_ms), "topic": message.topic,
        "qos": message.qos, "retain": message.retain,
    }  # fmt: skip
    try:
        return head | {"payload": faithful(message.payload)}
    except ValueError:  # includes bytes that are no UTF-8
        return head | {"payload_b64": base64.b64encode(message.payload).decode()}


def _message(line: str, last_ms: int) -> Message:
    body = json.loads(line)
    if "payload_b64" in body:
        payload = base64.b64decode(body["payload_b64"], validate=True)
    else:
        payload = json.dumps(body["payload"], separators=(",", ":")).encode()
    topic, qos, retain = body["topic"], body.get("qos", 1), body.get("retain", False)
    if not isinstance(topic, str) or qos not in (0, 1, 2) or not isinstance(retain, bool):
        raise ValueError("topic must be text, qos 0 to 2, retain true or false")
    t_ms = parse_rfc3339(body["t"])
    if t_ms < last_ms:
        raise ValueError("earlier than the line before; recordings are ordered by t")
    return Message(t_ms, topic, payload, qos, retain)


def faithful(payload: bytes) -> Any:
    """The JSON value of a payload; ValueError where writing it again would not say the same."""
    value = json.loads(
        payload.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
    )
    json.dumps(value, allow_nan=False)  # 1e999 reads as infinity
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
