"""A mapping: how the rows of a city's CSV become messages and assets, declared in TOML.

`TableMapping` shows everything that a mapping can say. It is checked as a whole before any row is
read: every fault is told, with its place in the file and how to mend it. Pure: text in, mapping
or findings out. Never runs anything that stands in a mapping.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

KINDS = ("streetlight", "cabinet", "road", "bin")
BLANKS = ("refuse", "skip")
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a mapping or a table. `where`: a key of the mapping, or `row N`."""

    file: str
    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.message}" + (f" ({self.hint})" * bool(self.hint))


@dataclass(frozen=True, slots=True)
class Template:
    """Text with {column} holes."""

    text: str

    @property
    def columns(self) -> list[str]:
        return HOLE.findall(self.text)

    def fill(self, row: Mapping[str, str]) -> str:
        return HOLE.sub(lambda hole: row[hole[1]].strip(), self.text)


@dataclass(frozen=True, slots=True)
class Number:
    """A column read as number * scale + offset."""

    column: str
    scale: float = 1.0
    offset: float = 0.0
    skip_blank: bool = False


@dataclass(frozen=True, slots=True)
class When:
    column: str
    format: str
    zone: ZoneInfo | None = None
    at: time | None = None


@dataclass(frozen=True, slots=True)
class Match:
    column: str
    equals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssetMapping:
    id: Template
    lat: float | str
    lon: float | str
    attributes: Mapping[str, Number] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableMapping:
    """Everything a mapping file says:

    kind = "bin"                          # streetlight, cabinet, road or bin
    zone = "north"                        # templates: {column} is that row's value
    device = "bin-{Bin ID}"
    delimiter = ","                       # optional
    sim = false                           # optional: mark every message as simulated
    [time]
    column = "timestamp"
    format = "%d-%m-%Y"                   # strptime; or "rfc3339", "unix_s", "unix_ms"
    zone = "Australia/Melbourne"          # of times that carry no offset
    at = "06:00"                          # optional: time of day for bare dates
    [values.fill_pct]                     # one table for each value: number * scale + offset
    column = "Fullness"
    scale = 10                            # optional; likewise offset = 0
    blank = "skip"                        # optional: "skip" leaves the value out, else a bad row
    [constants]                           # values that are the same in every row
    [seq]                                 # optional: message numbers
    column = "counter"
    boot = 1
    [loc]                                 # optional, for things that move
    lat = "latitude"                      # column names
    lon = "longitude"
    [[skip]]                              # rows left out; [[keep]]: only rows that match one
    column = "reason"
    equals = ["TEST"]
    [asset]                               # optional: the register, one asset for each id
    id = "bin-{Bin ID}"
    lat = -37.9                           # a number, or a column's name
    lon = 144.66
    [asset.attributes.fill_threshold_pct] # number * scale + offset, from the asset's first row
    column = "fullnessThreshold"
    scale = 10
    [asset.constants]                     # attributes that are the same for all
    """

    kind: str
    zone: Template
    device: Template
    when: When
    delimiter: str = ","
    sim: bool = False
    values: Mapping[str, Number] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    seq: str | None = None
    boot: int = 1
    loc: tuple[str, str] | None = None
    skip: tuple[Match, ...] = ()
    keep: tuple[Match, ...] = ()
    asset: AssetMapping | None = None

    def columns(self) -> set[str]:
        """Every column that it reads."""
        used = {self.when.column, *self.zone.columns, *self.device.columns, *(self.loc or ())}
        used |= {number.column for number in self.values.values()}
        used |= {match.column for match in (*self.skip, *self.keep)}
        used |= {self.seq} if self.seq else set()
        if self.asset is not None:
            used |= {*self.asset.id.columns}
            used |= {at for at in (self.asset.lat, self.asset.lon) if isinstance(at, str)}
            used |= {number.column for number in self.asset.attributes.values()}
        return used


def load_mapping(file: str, text: str) -> tuple[TableMapping | None, list[Finding]]:
    """The mapping, or None and every reason why not."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [Finding(file, "TOML", str(error))]
    reader = _Reader(file)
    mapping = reader.mapping(body)
    return (None if reader.findings else mapping), reader.findings


class _Reader:
    """Takes a parsed file apart, noting what is wrong and going on with something harmless."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.findings: list[Finding] = []

    def mapping(self, body: dict[str, Any]) -> TableMapping:
        known = (
            "kind", "zone", "device", "delimiter", "sim", "time", "values", "constants", "seq",
            "loc", "skip", "keep", "asset",
        )  # fmt: skip
        self._known(body, "", known)
        kind = self._text(body, "", "kind")
        if kind and kind not in KINDS:
            self._bad("kind", f"{kind!r} is no kind of device", "one of " + ", ".join(KINDS))
        delimiter = body.get("delimiter", ",")
        if not isinstance(delimiter, str) or len(delimiter) != 1:
            self._bad("delimiter", "must be one character")
            delimiter = ","
        if not body.get("values") and not body.get("constants"):
            self._bad("values", "nothing is reported", "add a [values.NAME] table with its column")
        seq, loc = self._table(body, "", "seq"), self._table(body, "", "loc")
        self._known(seq, "seq", ("column", "boot"))
        self._known(loc, "loc", ("lat", "lon"))
        return TableMapping(
            kind,
            self._template(body, "", "zone"),
            self._template(body, "", "device"),
            self._when(self._table(body, "", "time", required=True)),
            delimiter,
            body.get("sim") is True,
            self._numbers(body, "", "values"),
            self._constants(body, ""),
            self._text(seq, "seq", "column") if seq else None,
            self._whole(seq, "seq", "boot", 1),
            (self._text(loc, "loc", "lat"), self._text(loc, "loc", "lon")) if loc else None,
            self._matches(body, "skip"),
            self._matches(body, "keep"),
            self._asset(body),
        )

    def _asset(self, body: dict[str, Any]) -> AssetMapping | None:
        table = self._table(body, "", "asset")
        if not table:
            return None
        self._known(table, "asset", ("id", "lat", "lon", "attributes", "constants"))
        for key in ("lat", "lon"):
            if not isinstance(table.get(key), int | float | str):
                self._bad(f"asset.{key}", "is needed", "degrees, or the name of a column")
        return AssetMapping(
            self._template(table, "asset", "id"),
            _place(table.get("lat")),
            _place(table.get("lon")),
            self._numbers(table, "asset", "attributes"),
            self._constants(table, "asset"),
        )

    def _when(self, table: dict[str, Any]) -> When:
        self._known(table, "time", ("column", "format", "zone", "at"))
        zone, at = None, None
        try:
            zone = ZoneInfo(table["zone"]) if "zone" in table else None
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            self._bad("time.zone", f"{table['zone']!r} is no time zone", "like America/Chicago")
        try:
            at = time.fromisoformat(table["at"]) if "at" in table else None
        except (ValueError, TypeError):
            self._bad("time.at", f"{table['at']!r} is no time of day", 'like "06:00"')
        form = self._text(table, "time", "format")
        carries_zone = form in ("rfc3339", "unix_s", "unix_ms") or "%z" in form
        if form and not carries_zone and "zone" not in table:
            self._bad("time.zone", "is needed: the times carry no offset", "like America/Chicago")
        return When(self._text(table, "time", "column"), form, zone, at)

    def _numbers(self, body: dict[str, Any], inside: str, key: str) -> dict[str, Number]:
        numbers: dict[str, Number] = {}
        for name, table in self._table(body, inside, key).items():
            where = _path(inside, f"{key}.{name}")
            if not isinstance(table, dict):
                self._bad(where, "must be a table with a column", f"[{where}]")
                continue
            self._known(table, where, ("column", "scale", "offset", "blank"))
            if table.get("blank", "refuse") not in BLANKS:
                self._bad(f"{where}.blank", "must be " + " or ".join(BLANKS))
            numbers[name] = Number(
                self._text(table, where, "column"),
                self._float(table, where, "scale", 1.0),
                self._float(table, where, "offset", 0.0),
                table.get("blank") == "skip",
            )
        return numbers

    def _matches(self, body: dict[str, Any], key: str) -> tuple[Match, ...]:
        tables, matches = body.get(key, []), []
        if not isinstance(tables, list):
            self._bad(key, "must be a list of tables", f"[[{key}]]")
            return ()
        for number, table in enumerate(tables, start=1):
            where = f"{key}[{number}]"
            self._known(table, where, ("column", "equals"))
            wanted = table.get("equals")
            texts = wanted if isinstance(wanted, list) else [wanted]
            if not all(isinstance(text, str) for text in texts):
                self._bad(f"{where}.equals", "must be a text or a list of texts")
            matches.append(Match(self._text(table, where, "column"), tuple(map(str, texts))))
        return tuple(matches)

    def _constants(self, body: dict[str, Any], inside: str) -> dict[str, Any]:
        constants = self._table(body, inside, "constants")
        for name, value in constants.items():
            if not isinstance(value, int | float | str | list):
                self._bad(
                    _path(inside, f"constants.{name}"), "must be a number, flag, text or list"
                )
        return constants

    def _template(self, body: dict[str, Any], inside: str, key: str) -> Template:
        template = Template(self._text(body, inside, key))
        rest = HOLE.sub("", template.text)
        if rest and not NAME.fullmatch(rest):
            hint = "letters, digits, _ and -, with {column} for a value of the row"
            self._bad(_path(inside, key), f"{template.text!r} cannot be part of a topic", hint)
        return template

    def _table(
        self, body: dict[str, Any], inside: str, key: str, *, required: bool = False
    ) -> dict[str, Any]:
        table = body.get(key, {})
        if not isinstance(table, dict):
            self._bad(_path(inside, key), "must be a table", f"[{_path(inside, key)}]")
            return {}
        if required and not table:
            self._bad(_path(inside, key), "is missing", f"add a [{_path(inside, key)}] table")
        return table

    def _text(self, table: dict[str, Any], inside: str, key: str) -> str:
        value = table.get(key)
        if isinstance(value, str) and value:
            return value
        if table or not inside:  # a table that is not there has been told already
            self._bad(_path(inside, key), "is needed, as text")
        return ""

    def _float(self, table: dict[str, Any], inside: str, key: str, default: float) -> float:
        value = table.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        self._bad(_path(inside, key), "must be a number")
        return default

    def _whole(self, table: dict[str, Any], inside: str, key: str, default: int) -> int:
        value = table.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._bad(_path(inside, key), "must be a whole number")
        return default

    def _known(self, table: dict[str, Any], inside: str, keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                near = get_close_matches(key, keys, 1)
                hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(keys)
                self._bad(_path(inside, key), "is not a key of a mapping", hint)

    def _bad(self, where: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(self._file, where, message, hint))


def _place(value: object) -> float | str:
    """Anything else has been told as a finding before."""
    if isinstance(value, str):
        return value
    return float(value) if isinstance(value, int | float) else 0.0


def _path(inside: str, key: str) -> str:
    return f"{inside}.{key}" if inside else key
