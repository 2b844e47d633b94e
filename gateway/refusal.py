"""Refusals: why something a device sent was not accepted, said so that its maker can mend it.

Pure. Owns the reasons, and finds what is bent in the text itself before anything is made of it:
encoding, syntax, depth, NaN, a key written twice (which JSON parsers pass over, the last one wins).
A device's own words go into a refusal cut short and printable.
"""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, NamedTuple

DEPTH_MAX = 32  # a message has four levels; deeper ones are not worth telling apart
NUMBER_CHARS_MAX = 1024  # all digits of any double, and more
KEY_CHARS_MAX = 64  # of a device's own words in a refusal


class Reason(StrEnum):
    """Why a message was refused."""

    WRONG_TOPIC = "wrong_topic"
    UNKNOWN_KIND = "unknown_kind"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    WRONG_LENGTH = "wrong_length"
    BAD_TIME = "bad_time"
    RETAINED = "retained"
    SIMULATED = "simulated"
    UNKNOWN_DEVICE = "unknown_device"
    WRONG_KIND = "wrong_kind"
    NO_POSITION = "no_position"
    NOT_A_READING = "not_a_reading"
    UNKNOWN_FRAME = "unknown_frame"
    SENSOR_FAULT = "sensor_fault"
    NO_CODEC = "no_codec"
    NOT_BORN = "not_born"
    OUT_OF_ORDER = "out_of_order"
    NO_VALUES = "no_values"
    OVER_QUOTA = "over_quota"
    INTERNAL_ERROR = "internal_error"


class Refusal(NamedTuple):
    """One message, or one of a batch, that was not accepted. `path` leads to the fault, as in
    `values.accel.z_ms2[3]`; where the text itself is bent, it is a line and column or a byte.
    """

    reason: Reason
    path: str
    message: str
    hint: str


RETAINED = Refusal(
    Reason.RETAINED,
    "retain",
    "retained telemetry is not fresh",
    "publish telemetry without the retain flag: a kept value has no age",
)


class _Fault:
    """Stands in the tree where the text is bent: a key written twice, NaN, an endless number."""

    def __init__(self, reason: Reason, what: str) -> None:
        self._reason = reason
        self._what = what

    def refusal(self, path: str) -> Refusal:
        if self._reason is Reason.DUPLICATE_KEY:
            path = join(path, self._what)
            return Refusal(self._reason, path, "the key stands there twice", "write each key once")
        if self._reason is Reason.NOT_FINITE:
            hint = "leave out a value that is not known"
            return Refusal(self._reason, path, f"{self._what} is not JSON", hint)
        return Refusal(self._reason, path, self._what, "send what the sensor resolves")


def find_bent(payload: bytes) -> Refusal | None:
    """Faults of the text itself: encoding, syntax, depth, NaN, a key written twice."""
    try:
        tree = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_constant=lambda name: _Fault(Reason.NOT_FINITE, name),
            parse_int=_number,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        return Refusal(Reason.NOT_UTF8, f"byte {error.start}", "not UTF-8", "send UTF-8 text")
    except RecursionError:
        return _too_deep("")
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        return Refusal(Reason.NOT_JSON, where, error.msg, "send one JSON object")
    return _find_fault(tree, "", 0)


def _number(text: str) -> _Fault | None:
    """Numbers are judged by the models, unless no number type holds them."""
    if len(text) <= NUMBER_CHARS_MAX:
        return None
    return _Fault(Reason.OUT_OF_RANGE, f"a number of {len(text)} characters")


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            return _Fault(Reason.DUPLICATE_KEY, key)
        found[key] = value
    return found


def _find_fault(tree: Any, path: str, depth: int) -> Refusal | None:
    if isinstance(tree, _Fault):
        return tree.refusal(path)
    if isinstance(tree, dict):
        children = [(join(path, key), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        children = [(f"{path}[{i}]", value) for i, value in enumerate(tree)]
    else:
        return None
    if depth == DEPTH_MAX:
        return _too_deep(path)
    faults = (_find_fault(value, at, depth + 1) for at, value in children)
    return next((fault for fault in faults if fault), None)


def _too_deep(path: str) -> Refusal:
    return Refusal(Reason.TOO_DEEP, path, "nested too deeply", "a message has four levels")


def join(path: str, key: str) -> str:
    """A device's own words are cut, and what cannot be printed (or encoded) is written out."""
    key = key[:KEY_CHARS_MAX]
    name = key if key.isprintable() else ascii(key)[1:-1]
    return f"{path}.{name}" if path else name


def nearest(name: str, known: Sequence[str]) -> str:
    """A guess at what was meant, as a hint; empty if nothing is near."""
    near = get_close_matches(name[:KEY_CHARS_MAX], known, n=1)
    return f"did you mean {near[0]}?" if near else ""
