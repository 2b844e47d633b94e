"""Ground truth: what was wrong in the city, where, from when to when, and must it be filed.

Labels say what happened to the things themselves, not what any rule made of it. A label that must
not be filed is a look-alike. Written and read as the contract's CSV, and as truth.json, which says
also what kind of fault each label belongs to and which evidence was lost on the way. What cannot be
read is refused with place and reason.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from simulators.losses import Cause, Loss
from simulators.wire import parse_rfc3339, rfc3339

COLUMNS = ("start", "end", "rule", "asset_id", "lat", "long", "must_file")


class LabelsError(ValueError):
    """Labels that cannot be read; the message names file, line and what to mend."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that happened. `end_ms` None: it lasted. A place has lat, lon and no asset."""

    start_ms: int
    end_ms: int | None
    rule: str
    asset_id: str = ""
    lat: float | None = None
    lon: float | None = None
    must_file: bool = True


@dataclass(frozen=True, slots=True)
class Happening:
    """A fault as truth.json tells it. `end_ms` None: it lasted. `labels`: one, or one for each
    thing and time at which it showed; none where it changes nothing that a city could file.
    """

    id: str
    kind: str
    target: str
    start_ms: int
    end_ms: int | None
    extent: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()


class Faulty(Protocol):
    """A fault as the casting makes it."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int | None: ...
    @property
    def extent(self) -> Mapping[str, float]: ...
    @property
    def labels(self) -> tuple[Label, ...]: ...


def happenings(faults: Iterable[Faulty]) -> list[Happening]:
    """Each with an id that does not hang on the others."""
    return [
        Happening(
            f"{fault.kind}/{fault.target}/{rfc3339(fault.start_ms)}",
            str(fault.kind), fault.target, fault.start_ms, fault.end_ms, dict(fault.extent),
            tuple(fault.labels),
        )
        for fault in faults
    ]  # fmt: skip


def kinds_of(told: Iterable[Happening]) -> dict[Label, str]:
    """Label -> the kind of fault that it belongs to."""
    return {label: one.kind for one in told for label in one.labels}


def write_truth(path: Path, told: Iterable[Happening], losses: Iterable[Loss] = ()) -> None:
    """One line for each fault, by start, and one for each loss."""
    ordered = sorted(told, key=lambda one: (one.start_ms, one.id))
    faults = ",\n".join(json.dumps(_told(one), allow_nan=False) for one in ordered)
    lost = ",\n".join(json.dumps(_loss_told(loss)) for loss in losses)
    text = f'{{"faults": [\n{faults}\n],\n"losses": [\n{lost}\n]}}\n'
    path.write_text(text, encoding="utf-8")


def read_truth(path: Path) -> tuple[list[Happening], list[Loss]]:
    """Raises LabelsError."""
    try:
        body = json.loads(path.read_text("utf-8-sig"))
        faults, losses = list(body["faults"]), list(body.get("losses", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelsError(f'{path}: {error}; due is {{"faults": [...]}}') from None
    return (
        [_happening(path, number, row) for number, row in enumerate(faults, start=1)],
        [_loss(path, number, row) for number, row in enumerate(losses, start=1)],
    )


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Writes them by start, then rule and asset."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(label) for label in sorted(labels, key=_order))


def read_labels(path: Path) -> list[Label]:
    """Raises LabelsError for a missing column or a bad row."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise LabelsError(f"{path}:1: no column {missing[0]!r}; needed: {', '.join(COLUMNS)}")
        return [_parse(path, reader.line_num, row) for row in reader]


def _told(one: Happening) -> dict[str, Any]:
    return {
        "id": one.id, "kind": one.kind, "target": one.target, "start": rfc3339(one.start_ms),
        "end": None if one.end_ms is None else rfc3339(one.end_ms), "extent": dict(one.extent),
        "labels": [_label_told(label) for label in one.labels],
    }  # fmt: skip


def _label_told(label: Label) -> dict[str, Any]:
    lat, lon = (None if at is None else round(at, 6) for at in (label.lat, label.lon))
    return {
        "start": rfc3339(label.start_ms),
        "end": None if label.end_ms is None else rfc3339(label.end_ms),
        "rule": label.rule, "asset_id": label.asset_id, "lat": lat, "long": lon,
        "must_file": label.must_file,
    }  # fmt: skip


def _happening(path: Path, number: int, row: Any) -> Happening:
    try:
        start_ms, end_ms = _span(row)
        extent = {str(name): float(value) for name, value in row["extent"].items()}
        labels = tuple(_label_of(label) for label in row["labels"])
        return Happening(str(row["id"]), row["kind"], row["target"], start_ms, end_ms, extent,
                         labels)  # fmt: skip
    except KeyError as error:
        raise LabelsError(f"{path}: fault {number}: no key {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise LabelsError(f"{path}: fault {number}: {error}") from None


def _loss_told(loss: Loss) -> dict[str, Any]:
    return {
        "device": loss.device, "cause": str(loss.cause), "messages": loss.messages,
        "first": rfc3339(loss.first_ms), "last": rfc3339(loss.last_ms),
    }  # fmt: skip


def _loss(path: Path, number: int, row: Any) -> Loss:
    try:
        return Loss(row["device"], Cause(row["cause"]), int(row["messages"]),
                    parse_rfc3339(row["first"]), parse_rfc3339(row["last"]))  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise LabelsError(f"{path}: loss {number}: {error}") from None


def _label_of(row: Mapping[str, Any]) -> Label:
    if not isinstance(row["must_file"], bool):
        raise ValueError("must_file is true or false")  # noqa: TRY004
    return Label(*_span(row), row["rule"], row["asset_id"], row["lat"], row["long"],
                 row["must_file"])  # fmt: skip


def _span(row: Mapping[str, Any]) -> tuple[int, int | None]:
    return parse_rfc3339(row["start"]), None if row["end"] is None else parse_rfc3339(row["end"])


def _order(label: Label) -> tuple[int, str, str, float]:
    return label.start_ms, label.rule, label.asset_id, label.lat or 0.0


def _row(label: Label) -> tuple[str, ...]:
    end = "" if label.end_ms is None else rfc3339(label.end_ms)
    lat, lon = ("" if at is None else f"{at:.6f}" for at in (label.lat, label.lon))
    must = "true" if label.must_file else "false"
    return rfc3339(label.start_ms), end, label.rule, label.asset_id, lat, lon, must


def _parse(path: Path, line: int, row: dict[str, str]) -> Label:
    try:
        must = {"true": True, "false": False}[row["must_file"].strip().lower()]
        end = parse_rfc3339(row["end"]) if row["end"] else None
        lat, lon = (float(row[name]) if row[name] else None for name in ("lat", "long"))
        return Label(parse_rfc3339(row["start"]), end, row["rule"], row["asset_id"], lat, lon, must)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise LabelsError(
            f"{path}:{line}: {error}; times are RFC 3339 with zone, must_file is true or false"
        ) from None
