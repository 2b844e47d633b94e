"""What may be shown to everybody, read from the books: requests that the city has given a number.

SQL for the residents' page, over a connection that cannot write. Takes no more out of the books
than is shown: no device, asset, rule, reference, reason or note of anybody; what went to the desk
for emergencies stays inside too.
"""

from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.books.ledger import opened
from gateway.watch.logs import Log, Said

log = Log(__name__)


class Spot(msgspec.Struct, frozen=True):
    """Where it is, of all that a request says. Everything else in it is passed over unread."""

    lat: float
    long: float
    address: str | None = None
    extra: dict[str, str] = {}

    @property
    def zone(self) -> str:
        return self.extra.get("zone", "")


class FiledRequest(NamedTuple):
    """One filed request beside its incident. `why`: how the incident stands or ended. `status` and
    `updated` are the city's words, "" where it has not shown it yet; seen so since `since_ms`.
    """

    number: str
    service: str
    spot: Spot
    found_ms: int
    requested_ms: int
    over_ms: int | None
    why: str
    status: str
    updated: str
    since_ms: int


def filed_of(database: Path) -> list[FiledRequest]:
    """All of them, oldest incident first. A number may come twice: a request that was opened again,
    or one that stands for two faults.
    """
    decode = msgspec.json.Decoder(Spot).decode
    with opened(database, "ro") as db:
        rows = db.execute(
            "SELECT incident_id, request_id, service, request, fired_ms, "
            "coalesce(last_sent_ms, first_sent_ms, created_ms), cleared_ms, why, "
            "coalesce(status, ''), coalesce(updated, ''), coalesce(since_ms, 0) "
            "FROM outbox JOIN incidents ON id = incident_id LEFT JOIN followed USING (reference) "
            "WHERE outbox.state = 'filed' AND desk = 'city' AND request_id != ''"
        ).fetchall()
    rows.sort(key=itemgetter(0))  # in half the time that SQLite takes for it
    found = []
    for row in rows:
        try:
            found.append(FiledRequest(row[1], row[2], decode(row[3]), *row[4:]))
        except msgspec.DecodeError as error:  # half a character of UTF-16, say
            log.warning(Said.REQUEST_LEFT_OUT, "a request is not shown", incident=row[0], why=error)
    return found
