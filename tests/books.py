"""A gateway's folder whose books were written by its own core, and commands that look at it.

For tests of commands that open the books beside the gateway: no process, no broker.
"""

import json
from pathlib import Path

from conftest import a_bin, write_city, write_config
from typer.testing import CliRunner

from gateway.books.store import Store
from gateway.cityhall.requests import rfc3339
from gateway.cli import app
from gateway.core import Core
from gateway.effects import Incoming, Settings
from gateway.inventory.asset_files import read_whole
from gateway.sources import Sources
from rules.rule import Bundle

T0_MS = 1_768_453_200_000
BINS = [a_bin(1), a_bin(2), a_bin(3)]


def message(seq, minute=0, **values):
    values = values or {"fill_pct": 20}
    return {"ts": rfc3339(T0_MS + 60_000 * minute), "boot": 1, "seq": seq, "values": values}


def topic(device, kind="bin", leaf="telemetry"):
    return f"city/v1/z/{kind}/{device}/{leaf}"


def incoming(device, body, kind="bin", leaf="telemetry", **more):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming(topic(device, kind, leaf), payload, **more)


class Books:
    """A gateway's folder whose books were written by its own core, without the gateway."""

    def __init__(self, folder: Path, assets=BINS, ingest="", sources=()):
        self.folder, self.assets = folder, folder / "assets.geojson"
        write_city(self.assets, assets)
        blocks = "".join(
            f'[[source]]\ntopic = "{one.topic}"\nformat = "{one.format}"\n' for one in sources
        )
        self.config = write_config(folder, f"[ingest]\n{ingest}\n{blocks}")
        self._sources = sources

    def take(self, *messages, now_ms=T0_MS):
        city = read_whole([self.assets])
        store = Store(self.folder / "data")
        sources = Sources(self._sources, city.by_device)
        core = Core(city, Bundle({}, "none"), Settings(start_ms=now_ms), store.load(), sources)
        store.commit(core.process(messages, now_ms))
        store.close()
        return self

    def run(self, *words, code=0):
        done = CliRunner().invoke(app, [*map(str, words), "-c", str(self.config), "--json"])
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr, done.exception)
        return json.loads(done.stdout)

    def prospects(self, *words, code):
        found = self.run("dlq", "replay", *words, "--dry-run", code=code)
        return [letter["prospect"] for letter in found["letters"]], found["messages"]
