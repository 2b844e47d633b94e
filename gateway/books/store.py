"""What is on disk: the effects of each batch, whole, and the world as they left it.

All SQL of the gateway is here, in `city_book` (requests and orders), in `schema` (the tables) and
in `ledger` (the books, from beside). A batch's effects are one transaction. Incidents and requests
are never deleted; readings, refusals and journal lines are, by age and size.
"""

import json

from gateway.books.city_book import CityBook, write_city
from gateway.books.stored_rows import INCIDENT_HOLES, columns_of, incident_of, incident_row
from gateway.cases import silences
from gateway.cases.shelf import ENDED_MAX
from gateway.effects import Effects, HistoryReading, Saved
from gateway.field import devices

REFUSALS_MAX = 100_000
JOURNAL_DAYS = 400  # over a year: a request may be disputed long after it was filed
PRUNE_ROWS = 5_000  # per call: the writer is never away for long


class Store(CityBook):
    """The open books. Safe to share between threads: one transaction at a time."""

    # -- the batch ----------------------------------------------------------------------------

    def commit(self, effects: Effects) -> None:
        """All effects of a batch, in one transaction. StoreFull, StoreBroken: none of them."""
        with self.transaction() as db:
            db.executemany("INSERT INTO readings VALUES (?,?,?,?,?,?,?,?,?)", effects.readings)
            if effects.refusals:
                db.executemany(
                    "INSERT INTO refusals VALUES (NULL,?,?,?,?,?,?,?,?,?)", effects.refusals
                )
            db.executemany(
                "INSERT OR REPLACE INTO devices VALUES (?,?)",
                [(name, devices.dump(device)) for name, device in effects.devices.items()],
            )
            db.executemany("INSERT OR REPLACE INTO states VALUES (?,?)", effects.states)
            if effects.places:
                db.executemany("INSERT OR REPLACE INTO places VALUES (?,?)", effects.places)
            for place in effects.places_gone:
                db.execute("DELETE FROM places WHERE place = ?", (place,))
                db.execute("DELETE FROM states WHERE subject = ?", (place,))
            if effects.incidents:
                db.executemany(
                    f"INSERT INTO incidents VALUES ({INCIDENT_HOLES}) "
                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
                    "started_ms = excluded.started_ms, fired_ms = excluded.fired_ms, "
                    "due_ms = excluded.due_ms, vals = excluded.vals, parent = excluded.parent, "
                    "cleared_ms = excluded.cleared_ms, why = excluded.why, "
                    "closed_ms = excluded.closed_ms, city_id = excluded.city_id, "
                    "earlier = excluded.earlier, recent = excluded.recent",
                    map(incident_row, effects.incidents.values()),
                )
            write_city(db, effects, effects.at_ms)
            for row in effects.unfiled:  # the first time counts, should it leave and come back
                db.execute("INSERT OR IGNORE INTO unfiled VALUES (?,?,?,?)", columns_of(row)[1:5])
            if effects.journal:
                db.executemany(
                    "INSERT INTO journal VALUES (NULL,?,?,?,?,?,?,?,?,?)", effects.journal
                )
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?,?)",
                [("tick_ms", effects.tick_ms), ("follow_ms", effects.follow_ms)],
            )

    def save_rules(self, texts: str, layout: dict[str, list[list[str]]], states: Effects) -> None:
        """Other rules are in force: their texts, their layout and the states in it, together."""
        with self.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?,?)",
                [("rules", texts), ("layout", json.dumps(layout))],
            )
            db.executemany("INSERT OR REPLACE INTO states VALUES (?,?)", states.states)

    def load(self) -> Saved:
        """The world as it was when the last transaction ended."""
        with self.reading() as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            # The ended ones too, the latest of them: a late sample may show that one goes on.
            incidents = db.execute(
                "SELECT * FROM incidents WHERE cleared_ms IS NULL OR id IN (SELECT id FROM "
                "incidents WHERE cleared_ms IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY id",
                (ENDED_MAX,),
            )
            return Saved(
                installation=meta["installation"],
                tick_ms=int(meta.get("tick_ms", 0)),
                follow_ms=int(meta.get("follow_ms", 0)),
                reading_id=max(
                    self.one("SELECT max(id) FROM readings") or 0,
                    int(meta.get("pruned_id", 0)),
                ),
                incident_id=self.one("SELECT max(id) FROM incidents") or 0,
                texts=meta.get("rules", ""),
                layout=json.loads(meta.get("layout", "{}")),
                devices=[row[0] for row in db.execute("SELECT state FROM devices")],
                states=list(db.execute("SELECT subject, state FROM states")),
                places=[row[0] for row in db.execute("SELECT state FROM places")],
                incidents=[incident_of(row) for row in incidents],
                silences={
                    number: silences.decode(text)
                    for number, text in db.execute("SELECT id, silence FROM silences")
                },
                episodes={
                    (rule, subject): episode
                    for rule, subject, episode in db.execute(
                        "SELECT rule, subject, max(episode) FROM incidents GROUP BY rule, subject"
                    )
                },
            )

    # -- history ------------------------------------------------------------------------------

    def history_cursor(self) -> int:
        with self.reading():
            found = self.one("SELECT value FROM meta WHERE key = 'history'")
            return int(found or 0)

    def history_advance(self, reading_id: int) -> None:
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('history', ?)", (reading_id,))

    def readings_after(self, reading_id: int, limit: int) -> list[HistoryReading]:
        with self._reader_lock, self._told():
            rows = self._reader.execute(
                "SELECT id, device, kind, zone, asset_id, ts_ms, body FROM readings "
                "WHERE id > ? ORDER BY id LIMIT ?",
                (reading_id, limit),
            ).fetchall()
        return [HistoryReading._make((*row[:6], _numbers(row[6]))) for row in rows]

    # -- keeping house ------------------------------------------------------------------------

    def prune(self, oldest_ms: int, size_bytes_max: int, history_cursor: int | None) -> int:
        """Delete readings that are too old, or the oldest while the file is too large; never one
        that history still waits for. At most PRUNE_ROWS; returns how many.
        """
        used = self.pragma("page_count") - self.pragma("freelist_count")
        too_large = used * self.pragma("page_size") > size_bytes_max
        with self.transaction() as db:
            oldest = db.execute(
                "SELECT id, received_ms FROM readings ORDER BY id LIMIT ?", (PRUNE_ROWS,)
            ).fetchall()
            ids = [
                reading_id
                for reading_id, received_ms in oldest
                if (too_large or received_ms < oldest_ms)
                and (history_cursor is None or reading_id <= history_cursor)
            ]
            if ids:
                # The numbers go on where they were, even when every reading is gone.
                db.execute("DELETE FROM readings WHERE id <= ?", (ids[-1],))
                db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned_id', ?)", (ids[-1],))
            db.execute(
                "DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?",
                (REFUSALS_MAX,),
            )
            db.execute(
                "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at_ms < ? LIMIT ?)",
                (oldest_ms - JOURNAL_DAYS * 86_400_000, PRUNE_ROWS),
            )
        return len(ids)


def _numbers(body: bytes) -> dict[str, float | bool]:
    values = json.loads(body)["values"]
    return {key: value for key, value in values.items() if isinstance(value, int | float)}
