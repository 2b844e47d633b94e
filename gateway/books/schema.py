"""The tables of the store, as they came to be.

Each entry brings a file from one version to the next; a file remembers how many of them it has
seen. An entry that has been released is never changed: a change is one more entry.
"""

from collections.abc import Sequence

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE readings (
        id INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, zone TEXT NOT NULL,
        asset_id TEXT, ts_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
        verdict TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE refusals (
        id INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, topic TEXT NOT NULL,
        device TEXT NOT NULL, reason TEXT NOT NULL, path TEXT NOT NULL, message TEXT NOT NULL,
        hint TEXT NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE TABLE devices (device TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE states (subject TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE places (place TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE incidents (
        id INTEGER PRIMARY KEY, rule TEXT NOT NULL, subject TEXT NOT NULL,
        episode INTEGER NOT NULL, state TEXT NOT NULL, started_ms INTEGER NOT NULL,
        fired_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, vals TEXT NOT NULL,
        parent INTEGER, cleared_ms INTEGER, why TEXT NOT NULL,
        UNIQUE (rule, subject, episode));
    CREATE INDEX incidents_open ON incidents (id) WHERE cleared_ms IS NULL;
    CREATE TABLE outbox (
        reference TEXT PRIMARY KEY, incident_id INTEGER NOT NULL UNIQUE REFERENCES incidents (id),
        service TEXT NOT NULL, request TEXT NOT NULL, created_ms INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL, next_ms INTEGER NOT NULL,
        first_sent_ms INTEGER, last_sent_ms INTEGER, absent_reads INTEGER NOT NULL,
        last_absent_ms INTEGER, looks INTEGER NOT NULL, request_id TEXT, token TEXT,
        reason TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX outbox_due ON outbox (next_ms)
        WHERE state IN ('ready', 'sending', 'uncertain', 'tokened');
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, tick_ms INTEGER NOT NULL,
        subject TEXT NOT NULL, rule TEXT NOT NULL, incident INTEGER, before TEXT NOT NULL,
        after TEXT NOT NULL, cause TEXT NOT NULL, reading INTEGER);
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY, reference TEXT NOT NULL, at_ms INTEGER NOT NULL,
        before TEXT NOT NULL, event TEXT NOT NULL, after TEXT NOT NULL, reason TEXT NOT NULL);
    """,
    """
    CREATE TABLE unfiled (
        incident_id INTEGER PRIMARY KEY REFERENCES incidents (id), service TEXT NOT NULL,
        request TEXT NOT NULL, created_ms INTEGER NOT NULL);
    """,
    """
    CREATE TABLE followed (
        reference TEXT PRIMARY KEY REFERENCES outbox (reference), status TEXT NOT NULL,
        notes TEXT NOT NULL, updated TEXT NOT NULL, since_ms INTEGER NOT NULL,
        next_ms INTEGER NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE outbox ADD COLUMN desk TEXT NOT NULL DEFAULT 'city';
    ALTER TABLE outbox ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN approved INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE incidents ADD COLUMN closed_ms INTEGER;
    ALTER TABLE incidents ADD COLUMN city_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE incidents ADD COLUMN earlier TEXT NOT NULL DEFAULT '';
    ALTER TABLE incidents ADD COLUMN recent TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE followed ADD COLUMN original TEXT NOT NULL DEFAULT '';
    CREATE INDEX outbox_sent ON outbox (first_sent_ms) WHERE first_sent_ms IS NOT NULL;
    CREATE TABLE silences (id INTEGER PRIMARY KEY, silence TEXT NOT NULL);
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT, given_ms INTEGER NOT NULL, who TEXT NOT NULL,
        why TEXT NOT NULL, what TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
        answer TEXT NOT NULL DEFAULT '', done_ms INTEGER);
    CREATE INDEX orders_waiting ON orders (id) WHERE state = 'waiting';
    CREATE TABLE news (
        incident_id INTEGER NOT NULL REFERENCES incidents (id), status TEXT NOT NULL,
        description TEXT NOT NULL, at_ms INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'ready',
        attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (incident_id, status)) WITHOUT ROWID;
    CREATE INDEX news_due ON news (next_ms) WHERE state = 'ready';
    """,
    """
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
        role TEXT NOT NULL, via TEXT NOT NULL, deed TEXT NOT NULL, subject TEXT NOT NULL,
        why TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL,
        order_id INTEGER REFERENCES orders (id));
    CREATE TABLE audit_ends (
        entry INTEGER PRIMARY KEY REFERENCES audit (id), at_ms INTEGER NOT NULL,
        code TEXT NOT NULL, text TEXT NOT NULL);
    CREATE INDEX journal_about ON journal (subject, rule);
    CREATE INDEX outbox_tally ON outbox (service, state, created_ms);
    CREATE TRIGGER audit_kept BEFORE DELETE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is kept'); END;
    CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is not changed'); END;
    CREATE TRIGGER audit_ends_kept BEFORE DELETE ON audit_ends
        BEGIN SELECT raise(ABORT, 'the audit log is kept'); END;
    CREATE TRIGGER audit_ends_unchanged BEFORE UPDATE ON audit_ends
        BEGIN SELECT raise(ABORT, 'the audit log is not changed'); END;
    """,
)
