"""What a restored store cannot know: which of its requests were sent since the backup was made.

So it is told to doubt. All filing is stopped until a person lets it go on. What was on its way is
in doubt; and by triggers, which no path into the outbox gets round, so is for 30 days whatever is
to be sent for the first time: a fault that is found again has the reference that it had, and is
looked for in the city's list since the backup. From there the delivery state machine goes on.
"""

from sqlite3 import Connection

from gateway.cityhall.requests import rfc3339

DAY_MS = 86_400_000
LOOK_MS = 30 * DAY_MS
"""Later than that, a reference that was used twice confuses nobody: no look reaches back so far."""
CACHED_MS = 600_000
"""No city shows an older list than this: from then on one look is as good as two."""

_LOOKED_FOR = "restored from a backup: looked for at the city first"
_SEEN_FIRST = "restored from a backup: see first whether the city has this place already"

_NOTE = """
CREATE TABLE restore_note (
    id INTEGER PRIMARY KEY CHECK (id = 1), from_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    cached_until_ms INTEGER NOT NULL, places_until_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    looked_for TEXT NOT NULL, seen_first TEXT NOT NULL)
"""
_TRIGGERS = {
    "restore_new": """
        CREATE TRIGGER restore_new AFTER INSERT ON outbox
        WHEN new.state = 'ready'
            AND new.created_ms < (SELECT until_ms FROM restore_note)
            AND (new.urgent OR json_extract(new.request, '$.place_id') IS NULL
                OR new.created_ms >= (SELECT places_until_ms FROM restore_note))
        BEGIN
            UPDATE outbox SET
                (state, first_sent_ms, last_sent_ms, absent_reads, last_absent_ms, reason) =
                (SELECT 'uncertain', from_ms, at_ms, new.created_ms > cached_until_ms,
                    iif(new.created_ms > cached_until_ms, at_ms, NULL), looked_for
                FROM restore_note)
            WHERE reference = new.reference;
            INSERT INTO deliveries SELECT
                NULL, new.reference, new.created_ms, 'ready', 'restored', 'uncertain', looked_for
            FROM restore_note;
        END
    """,
    # A place on the road is named by the first hit: found again it has another reference, which
    # the city's list cannot show. So a person sees it first.
    "restore_place": """
        CREATE TRIGGER restore_place AFTER INSERT ON outbox
        WHEN new.state = 'ready' AND NOT new.urgent
            AND json_extract(new.request, '$.place_id') IS NOT NULL
            AND new.created_ms < (SELECT places_until_ms FROM restore_note)
        BEGIN
            UPDATE outbox SET (state, reason) = (SELECT 'review', seen_first FROM restore_note)
            WHERE reference = new.reference;
            INSERT INTO deliveries SELECT
                NULL, new.reference, new.created_ms, 'ready', 'restored', 'review', seen_first
            FROM restore_note;
        END
    """,
    # What waited for a person may have been let pass since the backup.
    "restore_again": """
        CREATE TRIGGER restore_again AFTER UPDATE OF state ON outbox
        WHEN new.state = 'ready'
            AND coalesce(new.last_sent_ms, 0) < (SELECT at_ms FROM restore_note)
            AND new.created_ms < (SELECT until_ms FROM restore_note)
        BEGIN
            UPDATE outbox SET
                (state, first_sent_ms, last_sent_ms, absent_reads, last_absent_ms, looks) =
                (SELECT 'uncertain', coalesce(new.first_sent_ms, from_ms), at_ms, 0, NULL, 0
                FROM restore_note)
            WHERE reference = new.reference;
            INSERT INTO deliveries SELECT
                NULL, new.reference, new.next_ms, 'ready', 'restored', 'uncertain', looked_for
            FROM restore_note;
        END
    """,
    # The city does not have it, so it was never sent: it counts in no budget, and may be withdrawn.
    "restore_absent": """
        CREATE TRIGGER restore_absent AFTER UPDATE OF state ON outbox
        WHEN old.state = 'uncertain' AND new.state = 'ready' AND new.attempts = 0
        BEGIN
            UPDATE outbox SET first_sent_ms = NULL WHERE reference = new.reference;
        END
    """,
}


def put_in_doubt(db: Connection, made_ms: int, now_ms: int) -> int:
    """Of a store as it was at `made_ms`, before anything is sent from it; how many requests were on
    their way. In one transaction.
    """
    db.execute("BEGIN IMMEDIATE")
    for name in _TRIGGERS:
        db.execute(f"DROP TRIGGER IF EXISTS {name}")
    db.execute("DROP TABLE IF EXISTS restore_note")
    db.execute(_NOTE)
    # Vehicles that took so long to find a place may take as long to find it a second time.
    places_until_ms = now_ms + max(DAY_MS, now_ms - made_ms)
    until_ms = max(places_until_ms, now_ms + LOOK_MS)
    times = (made_ms, now_ms, now_ms + CACHED_MS, places_until_ms, until_ms)
    db.execute(
        "INSERT INTO restore_note VALUES (1,?,?,?,?,?,?,?)", (*times, _LOOKED_FOR, _SEEN_FIRST)
    )
    db.execute(
        "INSERT INTO deliveries SELECT NULL, reference, ?, state, 'restored', 'uncertain', ? "
        "FROM outbox WHERE state IN ('ready', 'sending', 'uncertain')",
        (now_ms, _LOOKED_FOR),
    )
    in_doubt = db.execute(
        "UPDATE outbox SET state = 'uncertain', first_sent_ms = coalesce(first_sent_ms, ?), "
        "last_sent_ms = ?, absent_reads = 0, last_absent_ms = NULL, looks = 0, next_ms = ?, "
        "reason = ? WHERE state IN ('ready', 'sending', 'uncertain')",
        (made_ms, now_ms, now_ms, _LOOKED_FOR),
    ).rowcount
    why = f"by restore: the store is that of {rfc3339(made_ms)}, from a backup"
    db.execute("INSERT OR REPLACE INTO meta VALUES ('stopped', ?)", (why,))
    for trigger in _TRIGGERS.values():
        db.execute(trigger)
    db.execute("COMMIT")
    return in_doubt
