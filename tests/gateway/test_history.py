"""History: what reaches the database, through outages, refusals and hostile names."""

import gzip
import json
import math
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.errors import StoreFull
from gateway.history import HistoryConfig, HistoryDown, HistoryReading, HistoryWriter, line_of

VICTORIA = shutil.which("victoria-metrics") or "/usr/bin/victoria-metrics"
TOKEN = "token-canary-6f1c"
T0_MS = 1_768_507_500_000


class Shelf:
    """A store's worth of readings with a cursor."""

    def __init__(self, readings: list[HistoryReading]):
        self.readings = readings
        self.cursor = 0
        self.advances: list[int] = []

    def history_cursor(self) -> int:
        return self.cursor

    def history_advance(self, reading_id: int) -> None:
        self.advances.append(reading_id)
        self.cursor = reading_id

    def readings_after(self, reading_id: int, limit: int) -> list[HistoryReading]:
        return [r for r in self.readings if r.id > reading_id][:limit]


def reading(number: int, zone: str = "z", **other: Any) -> HistoryReading:
    values = {"active_power_w": number + 0.5, "relay_on": True}
    fields = {"device": "d-1", "kind": "streetlight", "asset_id": "A-1", "values": values, **other}
    return HistoryReading(id=number, zone=zone, ts_ms=T0_MS + number * 1000, **fields)


def writer(shelf: Shelf, url: str, **options: Any) -> HistoryWriter:
    config = {"url": url, "org": "city", "bucket": "sense", "token": SecretStr(TOKEN), **options}
    return HistoryWriter(shelf, HistoryConfig(**config))


@contextmanager
def closing(history: HistoryWriter) -> Iterator[HistoryWriter]:
    try:
        yield history
    finally:
        history.close()


@contextmanager
def running(history: HistoryWriter) -> Iterator[HistoryWriter]:
    thread = threading.Thread(target=history.run)
    thread.start()
    try:
        yield history
    finally:
        history.stop()
        thread.join(20)
        assert not thread.is_alive()


def until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"never: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Victoria:
    """The real VictoriaMetrics, which takes InfluxDB writes."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(VICTORIA, "-retentionPeriod=100y", "-memory.allowedBytes=64MB"),
                    f"-httpListenAddr=127.0.0.1:{self.port}",
                    f"-storageDataPath={self.folder / 'data'}",
                ],
                stdout=log,
                stderr=log,
            )
        until(self._healthy, "a healthy VictoriaMetrics")

    def _healthy(self) -> bool:
        try:
            return self.get("/health") == "OK"
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def series(self, **labels: str) -> list[dict[str, Any]]:
        self.get("/internal/force_flush")
        match = "{" + ",".join(f"{k}={json.dumps(v)}" for k, v in labels.items()) + "}"
        query = urllib.parse.urlencode({"match[]": match})
        return [json.loads(line) for line in self.get(f"/api/v1/export?{query}").splitlines()]

    def samples(self, zone: str) -> dict[int, float]:
        """Time in ms -> active power."""
        name = "streetlight_active_power_w"
        found = self.series(__name__=name, zone=zone)
        return {t: v for s in found for t, v in zip(s["timestamps"], s["values"], strict=True)}


def expected(shelf: Shelf) -> dict[int, float]:
    return {r.ts_ms: r.values["active_power_w"] for r in shelf.readings}


def needs_victoria() -> None:
    if not Path(VICTORIA).exists():
        if os.environ.get("CI") == "true":
            pytest.fail("VictoriaMetrics is missing: apt-get install victoria-metrics")
        pytest.skip("VictoriaMetrics is not installed (apt-get install victoria-metrics)")


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    needs_victoria()
    server = Victoria(tmp_path)
    yield server
    server.stop()


@pytest.mark.slow
def test_readings_arrive_as_they_are(victoria: Victoria):
    """Kind, tags, every value and the time in ms come back from a real database unchanged."""
    victoria.start()
    values = {"active_power_w": 57.9, "dim_level_pct": 100, "relay_on": False, "energy_wh": 1e21}
    shelf = Shelf([reading(1, "z1", values=values), reading(2, "z1", asset_id=None)])
    with closing(writer(shelf, victoria.url)) as history:
        assert history.step() == 2
        assert history.step() == 0
    assert shelf.advances == [2]
    told = {s["metric"]["__name__"]: s for s in victoria.series(zone="z1", asset="A-1")}
    assert {name: s["values"] for name, s in told.items()} == {
        "streetlight_active_power_w": [57.9],
        "streetlight_dim_level_pct": [100],
        "streetlight_relay_on": [0],
        "streetlight_energy_wh": [1e21],
    }
    assert {(*s["timestamps"], s["metric"]["device"]) for s in told.values()} == {
        (T0_MS + 1000, "d-1")
    }
    assert len(victoria.series(zone="z1", asset="")) == 2


@pytest.mark.slow
def test_outage_at_the_start_loses_nothing(victoria: Victoria):
    """Readings stored while the database is down are all there once it is up."""
    shelf = Shelf([reading(n, "z2") for n in range(1, 301)])
    with running(writer(shelf, victoria.url, batch=100, timeout_s=2)) as history:
        until(lambda: history.stats.failures_in_a_row >= 2, "failures")
        assert history.stats.last_error
        assert history.stats.behind
        assert shelf.cursor == 0
        victoria.start()
        until(lambda: shelf.cursor == 300, "the last reading")
        until(lambda: history.stats.written == 300, "the count")
        assert history.stats.failures_in_a_row == 0
    assert victoria.samples("z2") == expected(shelf)


@pytest.mark.slow
def test_outage_in_the_middle_loses_nothing(victoria: Victoria):
    """The database is stopped while readings flow and comes back: every reading is there."""
    victoria.start()
    shelf = Shelf([reading(n, "z3") for n in range(1, 51)])
    with running(writer(shelf, victoria.url, batch=10, timeout_s=2)) as history:
        until(lambda: shelf.cursor == 50, "the first part")
        victoria.stop()
        shelf.readings += [reading(n, "z3") for n in range(51, 101)]
        until(lambda: history.stats.failures_in_a_row >= 1, "a failure")
        assert shelf.cursor == 50
        victoria.start()
        until(lambda: shelf.cursor == 100, "the second part")
    assert victoria.samples("z3") == expected(shelf)


@pytest.mark.slow
def test_crash_between_write_and_cursor_writes_again(victoria: Victoria):
    """When the process dies before the cursor is kept, the batch is written again, not lost."""
    victoria.start()

    class Dying(Shelf):
        def history_advance(self, reading_id: int) -> None:
            raise KeyboardInterrupt

    dying = Dying([reading(n, "z4") for n in range(1, 11)])
    with closing(writer(dying, victoria.url)) as history, pytest.raises(KeyboardInterrupt):
        history.step()
    shelf = Shelf(dying.readings)
    with closing(writer(shelf, victoria.url)) as history:
        assert history.step() == 10
    assert victoria.samples("z4") == expected(shelf)


@pytest.mark.slow
def test_a_full_disk_keeps_the_cursor_until_there_is_room(victoria: Victoria):
    """What was written meanwhile is written again, and overwrites itself."""
    victoria.start()
    rooms = iter([False, True])

    class Full(Shelf):
        def history_advance(self, reading_id: int) -> None:
            if not next(rooms, True):
                raise StoreFull("no room")
            super().history_advance(reading_id)

    shelf = Full([reading(n, "z5") for n in range(1, 21)])
    with running(writer(shelf, victoria.url)) as history:
        until(lambda: shelf.cursor == 20, "the cursor moves")
    assert history.stats.failures_in_a_row == 0
    assert shelf.advances == [20]
    assert victoria.samples("z5") == expected(shelf)


@pytest.mark.slow
def test_hostile_names_arrive_whole(victoria: Victoria):
    """Separators, quotes, non-ASCII and line breaks in names neither split nor lose a point."""
    victoria.start()
    names = ["a b", "a,b=c", '"q"', "Łódź 1", "x\ny 1=2 3", "tail\\", "#c", "'", "a==b,, "]
    shelf = Shelf([reading(n, asset_id=name) for n, name in enumerate(names, 1)])
    with closing(writer(shelf, victoria.url)) as history:
        assert history.step() == len(names)
    found = victoria.series(__name__="streetlight_active_power_w", zone="z")
    told = {s["metric"]["asset"]: s["values"] for s in found}
    safe = [name.replace("\n", "_").replace("\\", "_") for name in names]
    assert told == {name: [n + 0.5] for n, name in enumerate(safe, 1)}


class Influx(ThreadingHTTPServer):
    """A server that answers writes as its `judge` says, given the lines of the request."""

    def __init__(self, judge: Callable[[list[str]], tuple[int, str]]):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.judge = judge
        self.taken: list[str] = []
        self.requests: list[tuple[str, str | None, int]] = []  # path, authorization, lines
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Influx

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.decode().split("\n")
        self.server.requests.append((self.path, self.headers.get("Authorization"), len(lines)))
        status, text = self.server.judge(lines)
        if status == 204:
            self.server.taken += lines
        self.send_response(status)
        if status == 307:
            self.send_header("Location", text)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def influx(judge: Callable[[list[str]], tuple[int, str]]) -> Iterator[Influx]:
    with Influx(judge) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def refuse_bad(lines: list[str]) -> tuple[int, str]:
    bad = [line for line in lines if "bad" in line]
    return (400, f"field type conflict for {TOKEN}") if bad else (204, "")


@pytest.mark.parametrize("bad", [{1}, {40}, {7, 8, 33}, set(range(1, 41)), set()])
def test_only_the_refused_points_are_dropped(bad: set[int]):
    """Whatever points are refused, exactly those are dropped and counted, and the rest arrive."""
    shelf = Shelf([reading(n, device="bad" if n in bad else "good") for n in range(1, 41)])
    with influx(refuse_bad) as server, closing(writer(shelf, server.url)) as history:
        assert history.step() == 40 - len(bad)
        assert (history.stats.written, history.stats.dropped) == (40 - len(bad), len(bad))
        assert bool(bad) == ("type conflict" in (history.stats.last_error or ""))
        good = {line_of(r) for r in shelf.readings if r.device == "good"}
        assert {line for line in server.taken if line.startswith("streetlight")} == good
    assert shelf.cursor == 40


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503])
def test_refusal_of_everything_drops_nothing(status: int):
    """When no point at all is taken the fault is not a point's: the cursor stands, none is lost."""
    shelf = Shelf([reading(n) for n in range(1, 9)])
    with influx(lambda _: (status, "no")) as server, closing(writer(shelf, server.url)) as history:
        with pytest.raises(HistoryDown):
            history.step()
        assert (history.stats.written, history.stats.dropped) == (0, 0)
    assert shelf.advances == []


def test_outage_while_halving_counts_nothing_twice():
    """An outage in the middle of finding bad points leaves cursor and counts as they were."""
    shelf = Shelf([reading(n, device="bad" if n == 3 else "good") for n in range(1, 9)])
    up = False

    def judge(lines: list[str]) -> tuple[int, str]:
        return refuse_bad(lines) if up or len(lines) > 2 else (503, "")

    with influx(judge) as server, closing(writer(shelf, server.url)) as history:
        with pytest.raises(HistoryDown):
            history.step()
        assert (history.stats.dropped, shelf.cursor) == (0, 0)
        up = True
        assert history.step() == 7
        assert (history.stats.written, history.stats.dropped) == (7, 1)


def test_token_goes_to_the_database_only():
    """The token is in the request's header, in no error text, and follows no redirect."""
    shelf = Shelf([reading(1)])
    with influx(lambda _: (204, "")) as other:
        echo = influx(lambda _: (307, f"{other.url}/?{TOKEN}"))
        with echo as server, closing(writer(shelf, server.url)) as history:
            with pytest.raises(HistoryDown) as down:
                history.step()
            assert server.requests[0][1] == f"Token {TOKEN}"
        assert other.requests == []
    assert TOKEN not in str(down.value)
    assert TOKEN not in repr(history.stats)
    assert "***" in str(down.value)


def test_silent_server_is_left_after_the_timeout():
    """A database that accepts and never answers is given up after `timeout_s`."""
    shelf = Shelf([reading(1)])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with closing(writer(shelf, url, timeout_s=0.2)) as history:
            before_s = time.monotonic()
            with pytest.raises(HistoryDown, match="Timeout"):
                history.step()
            assert time.monotonic() - before_s < 2
    assert shelf.advances == []


def test_readings_without_values_pass_by():
    """A reading with nothing to write moves the cursor and sends nothing."""
    shelf = Shelf([reading(1, values={}), reading(2, values={"x": math.nan, "y": math.inf})])
    with influx(lambda _: (204, "")) as server, closing(writer(shelf, server.url)) as history:
        assert history.step() == 0
        assert server.requests == []
    assert shelf.cursor == 2


def test_batches_are_bounded_and_in_order():
    """No request holds more than one batch, and the cursor follows batch by batch."""
    shelf = Shelf([reading(n) for n in range(1, 26)])
    with influx(lambda _: (204, "")) as server, running(writer(shelf, server.url, batch=10)) as h:
        until(lambda: h.stats.written == 25, "all readings")
        assert (h.stats.upto_id, h.stats.upto_ts_ms) == (25, T0_MS + 25_000)
        until(lambda: not h.stats.behind, "caught up")
        path = urllib.parse.urlsplit(server.requests[0][0])
        wanted = {"org": ["city"], "bucket": ["sense"], "precision": ["ms"]}
        assert urllib.parse.parse_qs(path.query) == wanted
        assert [lines for *_, lines in server.requests] == [10, 10, 5]
    assert shelf.advances == [10, 20, 25]


@pytest.mark.parametrize(
    "url",
    ["", "influx:8086", "ftp://x", "http://", "http://user:pw@x", "http://x?token=1", "http://x#f"],
)
def test_bad_address_is_refused(url: str):
    """An address that is none, or that carries a secret, is refused at once."""
    with pytest.raises(ValidationError):
        HistoryConfig(url=url, org="o", bucket="b", token=SecretStr("t"))
