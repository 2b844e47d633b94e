"""How incidents and requests lie in their tables: a value <-> its columns.

Owns the order of the columns of the outbox. Pure; knows no database.
"""

import json
from dataclasses import asdict
from typing import Any

import msgspec

from gateway.incidents import Incident
from gateway.outbox import Row, ServiceRequest, State

ROW_COLUMNS = (
    "reference, incident_id, service, request, created_ms, state, attempts, next_ms, "
    "first_sent_ms, last_sent_ms, absent_reads, last_absent_ms, looks, request_id, token, reason"
)


def incident_row(incident: Incident) -> tuple[Any, ...]:
    row = msgspec.structs.astuple(incident)
    return (*row[:8], json.dumps(row[8]), *row[9:])


def incident_of(row: tuple[Any, ...]) -> Incident:
    return msgspec.convert((*row[:8], json.loads(row[8]), *row[9:]), Incident)


def columns_of(row: Row) -> tuple[Any, ...]:
    fields = asdict(row) | {"request": json.dumps(row.request.to_dict())}
    return tuple(fields[name.strip()] for name in ROW_COLUMNS.split(","))


def row_of(columns: tuple[Any, ...]) -> Row:
    fields = dict(zip((name.strip() for name in ROW_COLUMNS.split(",")), columns, strict=True))
    fields["request"] = ServiceRequest.from_dict(json.loads(fields["request"]))
    fields["state"] = State(fields["state"])
    return Row(**fields)
