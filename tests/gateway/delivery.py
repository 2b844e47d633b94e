"""What the tests of delivery share: a row, a ledger kept in SQLite, a real simulated desk."""

import json
import pickle
import select
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.cityhall.delivery import Row, ServiceRequest, State
from gateway.cityhall.outbox import RowChangedError, reference_for

KEY = "canary-key-7f3a"
T0_MS = 1_768_500_000_000
DUE = (State.READY, State.SENDING, State.UNCERTAIN, State.TOKENED)


def a_row(key="lamp-1", service="STREETLIGHT_OUT", created_ms=T0_MS, **request):
    asked = {
        "lat": 41.8807,
        "long": -87.6301,
        "description": "The lamp draws no power at night.",
        "observed_at_ms": T0_MS,
        "rule": "lamp_out",
        "asset_id": "L-0042",
    }
    return Row(
        reference=reference_for(key),
        incident_id=1,
        service=service,
        request=ServiceRequest(**(asked | request)),
        created_ms=created_ms,
    )


class SqliteLedger:
    """The filer's ledger on a real file, so that what a killed filer leaves is what is durable."""

    def __init__(self, path: Path):
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("CREATE TABLE IF NOT EXISTS rows (reference PRIMARY KEY, row BLOB)")
        self.journal = []

    def close(self):
        self._db.close()

    def add(self, *rows):
        self._db.executemany(
            "INSERT INTO rows VALUES (?, ?)", [(row.reference, pickle.dumps(row)) for row in rows]
        )
        self._db.commit()

    def rows(self):
        stored = [pickle.loads(blob) for (blob,) in self._db.execute("SELECT row FROM rows")]
        return sorted(stored, key=lambda row: (row.created_ms, row.reference))

    def outbox_due(self, now_ms, limit, desk="city"):
        due = [row for row in self.rows() if row.state in DUE and row.next_ms <= now_ms]
        return due[:limit]

    def outbox_knows(self, references):
        return {row.reference for row in self.rows()} & set(references)

    def stopped(self):
        return ""

    def outbox_save(self, before, after, event, at_ms):
        stored = {row.reference: row for row in self.rows()}[before.reference]
        if (stored.state, stored.attempts) != (before.state, before.attempts):
            raise RowChangedError(before.reference)
        self._db.execute(
            "UPDATE rows SET row = ? WHERE reference = ?", (pickle.dumps(after), after.reference)
        )
        self._db.commit()
        self.journal.append((event, before.state, after.state))


@dataclass
class Desk:
    """A running desk: its address for a client, its ledger as the oracle, its faults."""

    url: str
    http: httpx.Client

    @property
    def endpoint(self):
        return f"{self.url}/open311/v2"

    def misbehave(self, **faults):
        bearer = {"Authorization": f"Bearer {KEY}"}
        self.http.put("/desk/faults", json=faults, headers=bearer).raise_for_status()

    def stored(self):
        return self.http.get("/desk/ledger").raise_for_status().json()


@contextmanager
def running_desk(folder: Path, *options: str):
    (folder / "key").write_text(KEY)
    command = [sys.executable, "-m", "simulators.desk", "--port", "0"]
    command += options
    command += ["--db", str(folder / "desk.db"), "--api-key-file", str(folder / "key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert select.select([process.stdout], [], [], 20)[0], "the desk did not start"
            url = json.loads(process.stdout.readline())["url"].removesuffix("/open311/v2")
            with httpx.Client(base_url=url, trust_env=False) as http:
                yield Desk(url, http)
        finally:
            process.terminate()
            process.wait(10)
