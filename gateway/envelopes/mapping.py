"""A mapping file: how some vendor's JSON becomes canonical values, without a line of code.

Paths into the message, units, enumerations and values that stand for nothing; several readings in
one message. Checked whole when it is read; an unknown key is a finding.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.clock import ms_of
from gateway.envelopes.names import KEYS, converted
from gateway.envelopes.uplink import Opened, Uplink, no, parsed
from gateway.refusal import Reason, Refusal
from rules.fields import REPORTED_KINDS
from rules.finding import Finding

READINGS_MAX = 1000
_PART = re.compile(r"[^.\[\]]+|\[\d{1,4}\]")
_TO_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _a_path(text: str) -> str:
    if "".join(_PART.findall(text)) != text.replace(".", ""):
        raise ValueError(f"{text!r} is no path; write data.level or readings[0].value")
    return text


def _a_key(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := sorted(set(values) - KEYS):
        raise ValueError(f"{', '.join(unknown)}: not in the contract")
    return values


At = Annotated[str, AfterValidator(_a_path), Field(min_length=1, max_length=200)]


class ValueAt(_Strict):
    """`unit`: the vendor's, where it is another; then `scale` and `offset`. `missing`: what stands
    for nothing. `words`: texts and what they mean.
    """

    path: At
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    missing: list[str | float | int] = []
    words: Mapping[str, float | bool] = {}


class MappingFile(_Strict):
    """`device`: a path, or `topic:N` for a part of the topic, from 0. `each`: a path to a list
    whose elements are readings; `device` and `time` are looked for in them first.
    """

    kind: str
    device: str
    time: At | None = None
    time_unit: Literal["rfc3339", "s", "ms", "us", "ns"] = "rfc3339"
    each: At | None = None
    sim: At | None = None
    values: Annotated[Mapping[str, ValueAt], AfterValidator(_a_key), Field(min_length=1)]

    def open(self, topic: str, payload: bytes) -> Opened:
        tree = parsed(payload)
        if isinstance(tree, Refusal):
            return [], [tree]
        if self.each is None:
            return self._read(topic, tree, tree, "")
        found = _at(tree, self.each)
        if not isinstance(found, list) or len(found) > READINGS_MAX:
            hint = f"a list of at most {READINGS_MAX} readings there"
            return no(Reason.WRONG_TYPE, self.each, "not a list of readings", hint)
        uplinks, refusals = list[Uplink](), list[Refusal]()
        for i, one in enumerate(found):
            more, wrong = self._read(topic, one, tree, f"{self.each}[{i}]")
            uplinks += more
            refusals += wrong
        return uplinks, refusals

    def _read(self, topic: str, one: Any, whole: Any, path: str) -> Opened:
        device = self._device(topic, one, whole)
        if not device:
            return no(Reason.MISSING_KEY, self.device, "no device", "the mapping says where")
        ts_ms, bad = self._time(one, whole)
        if bad is not None:
            return [], [bad]
        values, refusals = dict[str, Any](), list[Refusal]()
        for key, told in self.values.items():
            value = _at(one, told.path)
            found = _value(key, told, value)
            if isinstance(found, Refusal):
                here = f"{path}.{told.path}" if path else told.path
                refusals.append(found._replace(path=here))
            elif found is not None:
                values[key] = found
        sim = self.sim is not None and _at(whole, self.sim) is True
        return [Uplink(device, ts_ms, self.kind, values, sim=sim, path=path)], refusals

    def _device(self, topic: str, one: Any, whole: Any) -> str:
        if self.device.startswith("topic:"):
            parts = topic.split("/")
            nth = int(self.device.removeprefix("topic:"))
            return parts[nth] if nth < len(parts) else ""
        found = _at(one, self.device)
        found = _at(whole, self.device) if found is None else found
        good = isinstance(found, str | int) and not isinstance(found, bool)
        return str(found) if good else ""

    def _time(self, one: Any, whole: Any) -> tuple[int | None, Refusal | None]:
        if self.time is None:
            return None, None
        found = _at(one, self.time)
        found = _at(whole, self.time) if found is None else found
        if found is None:
            return None, None
        if self.time_unit == "rfc3339":
            ts_ms = ms_of(found) if isinstance(found, str) else None
        else:
            number = _number(found)
            ts_ms = None if number is None else round(number * _TO_MS[self.time_unit])
        if ts_ms is None or not 0 <= ts_ms < 1 << 53:
            hint = f"the mapping says {self.time_unit}"
            return None, Refusal(Reason.BAD_TIME, self.time, "not a time", hint)
        return ts_ms, None


def read_mapping(path: Path) -> MappingFile | list[Finding]:
    """The mapping in a file, or all that is wrong with it."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
        mapping = MappingFile.model_validate(tree)
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(path), 1, 1, "E414", f"cannot read: {error}", "a TOML file")]
    except tomllib.TOMLDecodeError as error:
        return [Finding(str(path), 1, 1, "E414", str(error), "a TOML file")]
    except ValidationError as error:
        return list(_findings(str(path), error))
    if mapping.kind not in REPORTED_KINDS:
        help_ = f"kinds are {', '.join(REPORTED_KINDS)}"
        return [Finding(str(path), 1, 1, "E414", f"no kind {mapping.kind!r}", help_)]
    return mapping


def _findings(file: str, error: ValidationError) -> Iterator[Finding]:
    for fault in error.errors(include_url=False, include_input=False):
        keys = ".".join(str(part) for part in fault["loc"])
        message = f"{keys}: {fault['msg'].removeprefix('Value error, ')}"
        help_ = 'kind, device, and a table for each value: [values.fill_pct] path = "data.level"'
        yield Finding(file, 1, 1, "E414", message, help_)


def _at(tree: Any, path: str) -> Any:
    """What stands at a path; None where nothing does."""
    for part in _PART.findall(path):
        if part.startswith("["):
            nth = int(part[1:-1])
            tree = tree[nth] if isinstance(tree, list) and nth < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, dict) else None
        if tree is None:
            return None
    return tree


def _value(key: str, told: ValueAt, value: Any) -> Any:
    if value is None or value in told.missing:
        return None
    if isinstance(value, str) and value in told.words:
        return told.words[value]
    if isinstance(value, bool):
        return value
    number = _number(value)
    if number is None:
        hint = "name the text under `words` or `missing` of the mapping"
        return Refusal(Reason.WRONG_TYPE, "", f"not a number: {str(value)[:40]!r}", hint)
    found = converted(key, number, told.unit.lower())
    if isinstance(found, str):
        return Refusal(Reason.WRONG_TYPE, "", found, "another unit in the mapping")
    return round(found * told.scale + told.offset, 9)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
