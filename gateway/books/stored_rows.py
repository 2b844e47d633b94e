"""How incidents and requests lie in their tables: a value <-> its columns.

Owns the order of the columns of the outbox. Pure; knows no database.
"""

import json
from dataclasses import asdict
from typing import Any

import msgspec

from gateway.cases.incident import Incident
from gateway.cityhall.delivery import Row, ServiceRequest, State

ROW_COLUMNS = (
    "reference, incident_id, service, request, created_ms, state, attempts, next_ms, "
    "first_sent_ms, last_sent_ms, absent_reads, last_absent_ms, looks, request_id, token, reason, "
    "desk, urgent, approved"
)
ROW_HOLES = ",".join("?" * len(ROW_COLUMNS.split(",")))
INCIDENT_HOLES = ",".join("?" * len(Incident.__struct_fields__))
_NAMES = tuple(name.strip() for name in ROW_COLUMNS.split(","))
_VALUES, _RECENT = (Incident.__struct_fields__.index(name) for name in ("values", "recent_ms"))


def incident_row(incident: Incident) -> tuple[Any, ...]:
    row = list(msgspec.structs.astuple(incident))
    row[_VALUES], row[_RECENT] = json.dumps(row[_VALUES]), json.dumps(row[_RECENT])
    return tuple(row)


def incident_of(columns: tuple[Any, ...]) -> Incident:
    row = list(columns)
    row[_VALUES], row[_RECENT] = json.loads(row[_VALUES]), json.loads(row[_RECENT])
    return msgspec.convert(row, Incident)


def columns_of(row: Row) -> tuple[Any, ...]:
    fields = asdict(row) | {"request": json.dumps(row.request.to_dict())}
    return tuple(fields[name] for name in _NAMES)


def row_of(columns: tuple[Any, ...]) -> Row:
    fields = dict(zip(_NAMES, columns, strict=True))
    fields["request"] = ServiceRequest.from_dict(json.loads(fields["request"]))
    fields["state"] = State(fields["state"])
    fields |= {name: bool(fields[name]) for name in ("urgent", "approved")}
    return Row(**fields)
