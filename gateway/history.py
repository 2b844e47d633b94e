"""History: readings on their way to InfluxDB, by a cursor over what is already stored.

It owns the cursor's advance and nothing else. At least once, in order, and nothing lost while the
database is down: the cursor moves only when a batch is answered for. A point is given up only when
the database refuses it alone and takes another one at that moment, and is then counted. A repeated
write overwrites itself: tags, fields and time are those of the reading. It is never on the path of
a fault: nobody waits for it, and it holds no more than one batch.
"""

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from urllib3.exceptions import HTTPError

from gateway.effects import HistoryReading
from gateway.errors import StoreFull
from gateway.watch.logs import Log, Said

_POINT_REFUSALS = frozenset(
    {400, 413, 422}
)  # others (401, 404, 429, ...) are about us, not a point
_BACK_OFF_S_MIN, _BACK_OFF_S_MAX = 0.5, 60.0
_FULL_S = 2.0
_POLL_S = 1.0  # when nothing is waiting
_ERROR_CHARS_MAX = 200
_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# A backslash before a separator and a control character cannot be written in a way that all
# servers read alike; they become this one.
_UNWRITABLE = re.compile(r"[\\\x00-\x1f\x7f]")
_REPLACEMENT = "_"
# Without a time of its own it gets the database's: never outside the retention.
_CANARY = "sense311_history writable=1.0"

log = Log(__name__)


class Source(Protocol):
    """The store, as this room sees it. The cursor is the last id that is in the history."""

    def history_cursor(self) -> int: ...
    def history_advance(self, reading_id: int) -> None: ...
    def readings_after(self, reading_id: int, limit: int) -> list[HistoryReading]: ...


class HistoryConfig(BaseModel):
    """Where and how to write. The token is a secret: it is in no error and no log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    org: str = Field(min_length=1)
    bucket: str = Field(min_length=1)
    token: SecretStr
    batch: int = Field(default=5000, ge=1, le=50_000)  # InfluxDB's own advice on batch size
    timeout_s: float = Field(default=10.0, gt=0, le=300)

    @field_validator("url")
    @classmethod
    def _is_base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http or https address, such as https://influx.example:8086")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("only scheme, host, port and path: secrets go into `token`")
        return url.rstrip("/")


class HistoryDown(Exception):  # noqa: N818 - a state of the other side, not our error
    """The database did not take the batch, for a reason that is no point's fault. Redacted."""


@dataclass(frozen=True, slots=True)
class HistoryStats:
    """Since the start of this process. `behind`: more is waiting than one batch, or it is down.

    `upto_ts_ms` is the time of the last reading written: the lag is now minus that.
    """

    written: int = 0
    dropped: int = 0
    failures_in_a_row: int = 0
    last_error: str | None = None
    behind: bool = False
    upto_id: int | None = None
    upto_ts_ms: int | None = None

    def told(self) -> dict[str, Any]:
        """For the status; without the other side's words."""
        failing = self.failures_in_a_row > 0
        return {"up": not failing, "written": self.written, "dropped": self.dropped}


class _Outcome(NamedTuple):
    written: int
    dropped: int
    refusal: str | None = None


class HistoryWriter:
    """Run it in a thread of its own: `run` until `stop`. `stats` may be read from any thread."""

    def __init__(self, source: Source, config: HistoryConfig) -> None:
        self.stats = HistoryStats()
        self._source = source
        self._config = config
        self._stopping = threading.Event()
        self._client = InfluxDBClient(
            url=config.url,
            token=config.token.get_secret_value(),
            org=config.org,
            timeout=int(config.timeout_s * 1000),
            enable_gzip=True,
            retries=False,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def run(self) -> None:
        """Writes until `stop`; an outage is waited out. Raises only what the source raises."""
        pause_s = 0.0
        try:
            while not self._stopping.wait(pause_s):
                pause_s = self._turn()
        finally:
            self.close()

    def stop(self) -> None:
        """`run` returns after the request in flight, at most `timeout_s` later."""
        self._stopping.set()

    def close(self) -> None:
        """Closes the connections; `run` does so itself."""
        self._client.close()  # type: ignore[no-untyped-call]

    def step(self) -> int:
        """One batch; returns the readings written. Raises HistoryDown; the cursor then stands."""
        readings = self._source.readings_after(self._source.history_cursor(), self._config.batch)
        behind = len(readings) == self._config.batch
        if not readings:
            self.stats = replace(self.stats, failures_in_a_row=0, behind=False)
            return 0
        lines = [line for line in map(line_of, readings) if line]
        outcome = self._write(lines) if lines else _Outcome(0, 0)
        self._source.history_advance(readings[-1].id)
        self.stats = replace(
            self.stats,
            written=self.stats.written + outcome.written,
            dropped=self.stats.dropped + outcome.dropped,
            failures_in_a_row=0,
            last_error=outcome.refusal or self.stats.last_error,
            behind=behind,
            upto_id=readings[-1].id,
            upto_ts_ms=readings[-1].ts_ms,
        )
        return outcome.written

    def _turn(self) -> float:
        """One step; returns how long to wait before the next, in seconds."""
        failed = self.stats.failures_in_a_row > 0
        try:
            self.step()
        except HistoryDown as down:
            failures = self.stats.failures_in_a_row + 1
            if not failed and not self._stopping.is_set():
                log.warning(Said.HISTORY_DOWN, "the history takes nothing: it waits", why=down)
            self.stats = replace(
                self.stats, failures_in_a_row=failures, last_error=str(down), behind=True
            )
            return min(_BACK_OFF_S_MAX, _BACK_OFF_S_MIN * 2.0 ** min(failures - 1, 16))
        except StoreFull:  # the cursor could not move: what is written again overwrites itself
            return _FULL_S
        if failed:
            log.warning(Said.HISTORY_BACK, "the history takes readings again")
        return 0.0 if self.stats.behind else _POLL_S

    def _write(self, lines: Sequence[str]) -> _Outcome:
        """Halves what is refused until the bad points stand alone."""
        refusal = self._send("\n".join(lines))
        if refusal is None:
            return _Outcome(len(lines), 0)
        if len(lines) > 1:
            middle = len(lines) // 2
            left, right = self._write(lines[:middle]), self._write(lines[middle:])
            return _Outcome(left.written + right.written, left.dropped + right.dropped, refusal)
        if self._send(_CANARY) is not None:
            raise HistoryDown(f"every point is refused: {refusal}")
        return _Outcome(0, 1, refusal)

    def _send(self, body: str) -> str | None:
        """None when taken, else why the points were refused. Raises HistoryDown."""
        if self._stopping.is_set():
            raise HistoryDown("stopping")
        try:
            self._api.write(
                bucket=self._config.bucket,
                record=body.encode(),
                write_precision=WritePrecision.MS,  # type: ignore[arg-type]
            )
        except ApiException as error:
            said = self._redacted(f"{error.status} {error.reason} {error.body or ''}")
            if error.status in _POINT_REFUSALS:
                return said
            raise HistoryDown(said) from None
        except (HTTPError, OSError, UnicodeDecodeError) as error:
            raise HistoryDown(self._redacted(f"{type(error).__name__}: {error}")) from None
        return None

    def _redacted(self, text: str) -> str:
        secret = self._config.token.get_secret_value()
        plain = text.replace(secret, "***") if secret else text
        return " ".join(_UNWRITABLE.sub(" ", plain).split())[:_ERROR_CHARS_MAX]


def line_of(reading: HistoryReading) -> str | None:
    """The reading in line protocol, all fields floats, time in ms; None if it has no values."""
    fields = ",".join(
        f"{escaped(name)}={float(value)!r}"
        for name, value in reading.values.items()
        if math.isfinite(value)
    )
    if not fields:
        return None
    asset = f",asset={escaped(reading.asset_id)}" if reading.asset_id else ""
    tags = f"{asset},device={escaped(reading.device)},zone={escaped(reading.zone)}"
    return f"{escaped(reading.kind)}{tags} {fields} {reading.ts_ms}"


@lru_cache(maxsize=65_536)  # the same few thousand names come again and again
def escaped(name: str) -> str:
    """A measurement, tag or field name as line protocol wants it."""
    if _PLAIN.fullmatch(name):
        return name
    return _UNWRITABLE.sub(_REPLACEMENT, name).translate(_ESCAPES)
