"""A gateway's folder with incidents and requests in its books, and people who look and act.

For tests of deeds, views and the interface beside a gateway that is not running: the books are
written by its own core, its store and its own files, and orders are carried out when it is told to.
"""

import socket
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import uvicorn
from conftest import a_bin, write_city, write_config

from gateway.books import by_hand
from gateway.books.store import Store
from gateway.cityhall.delivery import Claimed, Diverted, Filed, Policy
from gateway.cityhall.outbox import advance
from gateway.cityhall.requests import rfc3339
from gateway.clock import ManualClock
from gateway.config import read_config
from gateway.core import Core
from gateway.effects import Incoming, Settings
from gateway.inventory.asset_files import read_whole
from gateway.plans import prepare, read_rules
from gateway.staff.accounts import Accounts
from gateway.staff.deeds import Deeds, Via
from gateway.staff.people import Person, Role
from gateway.views.books import Books
from rules.files import load, read_library

T0_MS = 1_768_453_200_000
MINUTE_MS = 60_000
OWN_RULES = """\
apiVersion: sense311/v1
sensor: bin
owner: tests
params:
  high: {default: 80%, range: [50%, 95%]}

rules:
  - id: slow_bin        # full for a quarter of an hour
    mode: shadow
    title: "Bin {asset.id} is full"
    when: fill > high
    for: 15min
    cover: {max_gap: 2h}
    clear: {when: fill < 50%}
    identity: [asset.id]
    lateness: 0min
    file:
      service: BIN_FULL
      description: "Bin {asset.id} is at {fill:.0f}"
"""
VIEWER, OPERATOR, ADMIN = (Person(f"the-{role}", role) for role in Role)


class Staffed:
    """Ten bins, of which `full` are full: an incident and a request each, ready to be sent. A bin
    that nobody has entered, `stranger-7`, speaks too.
    """

    def __init__(self, folder: Path, full=3, rules="", bins=10, more_files=""):
        self.folder = folder
        self.data = folder / "data"
        self.database = self.data / "sense311.db"
        self.assets = folder / "assets.geojson"
        write_city(self.assets, _bins(bins))
        self.rule_file = folder / "ours.yaml"
        self.rule_file.write_text(OWN_RULES)
        more = f'[rules]\nfiles = ["ours.yaml", {more_files}]\n{rules}\n[console]'
        self.config = write_config(folder, f'[ingest]\nclock = "follow"\n{more}')
        self.clock = ManualClock(T0_MS)
        self.books = Books(self.config, self.clock)
        self._fill(bins, full)

    def _fill(self, bins, full):
        """The books, written once for all tests; only the names of the rule files are our own."""
        self.data.mkdir()
        self.database.write_bytes(_written(bins, full))
        texts = read_rules(read_config(self.config)[0])[0].to_json()
        self.change("UPDATE meta SET value = ? WHERE key = 'rules'", texts)

    def deeds(self, via=Via.API, **more):
        return Deeds(self.books, via, **more)

    def carry_out(self):
        """As the gateway does when it runs."""
        plans = prepare(*read_config(self.config))
        store = Store(self.data)
        saved = store.load()
        core = Core(plans.city, plans.bundle, Settings(start_ms=T0_MS), saved)
        store.commit(core.obey(store.orders_waiting(100), core.tick_ms))
        store.close()

    def references(self):
        return [row["reference"] for row in self.rows("SELECT * FROM outbox ORDER BY incident_id")]

    def incidents(self, rule="bin_full"):
        rows = self.rows("SELECT id FROM incidents WHERE rule = ? ORDER BY id", rule)
        return [row["id"] for row in rows]

    def rows(self, query, *values):
        with by_hand.opened(self.database, "ro") as db:
            cursor = db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def audit(self):
        """(who, deed, code) of every entry, oldest first."""
        rows = self.rows("SELECT who, deed, code FROM audit ORDER BY id")
        return [tuple(row.values()) for row in rows]

    def divert(self, reference, reason="over a budget"):
        by_hand.move(self.database, reference, Diverted(reason), T0_MS)

    def file(self, reference, number="CITY-1"):
        """As the filer does when the city has answered."""
        self.through(reference, Claimed(), Filed(number))

    def through(self, reference, *events, at_ms=T0_MS):
        """A request taken through events, as its filer does."""
        store = Store(self.data)
        (row,) = [one for one in store.outbox_rows() if one.reference == reference]
        for event in events:
            after = advance(row, event, at_ms, Policy())
            store.outbox_save(row, after, type(event).__name__.lower(), at_ms)
            row = after
        store.close()

    def change(self, query, *values):
        """The books, changed behind everybody's back."""
        with by_hand.opened(self.database, "rw") as db:
            db.execute(query, values)

    def token(self, role=Role.VIEWER, name="", **more):
        accounts = Accounts(self.data)
        return accounts.add_token(name or str(role), role, self.clock.now_ms(), **more)[0]


@cache
def _written(bins, full):
    """The file of the books after an hour in which some bins were full all the time."""
    bundle, _ = load(read_library() | {"ours.yaml": OWN_RULES})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "assets.geojson"
        write_city(path, _bins(bins))
        store = Store(Path(folder) / "data")
        core = Core(read_whole([path]), bundle, Settings(start_ms=T0_MS), store.load())
        store.save_rules("", core.layout, core.all_states())
        for minute in range(0, 70, 10):
            messages = [
                Incoming(f"city/v1/z/bin/bin-{n}/telemetry", body(minute, 95 if n < full else 20))
                for n in range(bins)
            ]
            messages.append(Incoming("city/v1/z/bin/stranger-7/telemetry", body(minute, 20)))
            now_ms = T0_MS + minute * MINUTE_MS
            store.commit(core.process(messages, now_ms))
            if (effects := core.pass_time(now_ms)) is not None:
                store.commit(effects)
        store.close()
        return (Path(folder) / "data" / "sense311.db").read_bytes()


def _bins(count):
    zones = ("north", "south")
    return [a_bin(n) | {"zone": zones[n % 2], "address": f"{n} Lake St"} for n in range(count)]


def body(minute, fill_pct):
    at = rfc3339(T0_MS + minute * MINUTE_MS)
    values = f'{{"fill_pct": {fill_pct}}}'
    return f'{{"ts": "{at}", "boot": 1, "seq": {minute + 1}, "values": {values}}}'.encode()


@contextmanager
def serving(app):
    """The application on a real port of loopback; an HTTP client of it."""
    with socket.socket() as ear:
        ear.bind(("127.0.0.1", 0))
        ear.listen()  # who comes before the server is up waits for it
        settings = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([ear],), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{ear.getsockname()[1]}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            yield client
        server.should_exit = True
        thread.join(10)
