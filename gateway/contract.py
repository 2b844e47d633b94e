"""The contract of one message: what a device may say, and why a message is refused.

Pure. The contract is defined once, as pydantic models built from the catalogue of values. `read`
takes the plain case through a fast decoder generated from the same catalogue, which accepts only
what the models accept, with equal results; all doubt goes to the models. Nothing is clipped,
guessed or coerced, and every refusal tells its reason, the path to the fault and how to mend it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired, Self, TypedDict, TypeVar

import msgspec
from msgspec import Meta
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.clock import ms_of
from gateway.refusal import Reason, Refusal, find_bent, join, nearest
from rules.fields import CATALOGUE, REPORTED_KINDS

FAULTS_MAX = 32
INTEGER_MAX = 2**53 - 1  # what every JSON reader represents exactly
SAMPLES_MIN = 8
SAMPLES_MAX = 2048
SAMPLE_MS2_MAX = 1000  # a hundred times gravity: no road sensor measures more


# -- the contract, as pydantic models ---------------------------------------------------------

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_FAULT_NAME = r"^[a-z0-9_]{1,64}$"


def _a_time(text: str) -> str:
    if ms_of(text) is None:
        raise PydanticCustomError("bad_time", "not a time with zone")
    return text


Time = Annotated[str, AfterValidator(_a_time)]
Counter = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
FaultName = Annotated[str, Field(pattern=_FAULT_NAME)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Sample = Annotated[float, Field(ge=-SAMPLE_MS2_MAX, le=SAMPLE_MS2_MAX)]
Samples = Annotated[list[Sample], Field(min_length=SAMPLES_MIN, max_length=SAMPLES_MAX)]


class Accel(BaseModel):
    """A window of acceleration, axes as mounted, gravity included, in m/s2."""

    model_config = _STRICT
    rate_hz: float = Field(ge=1, le=2000)
    z_ms2: Samples
    x_ms2: Samples | None = None
    y_ms2: Samples | None = None

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        axes = (self.x_ms2, self.y_ms2)
        if any(axis is not None and len(axis) != len(self.z_ms2) for axis in axes):
            raise PydanticCustomError("axes_differ", "the axes differ in length")
        return self


class MessageBase(BaseModel):
    """What all kinds share; `values` is added for each kind."""

    model_config = _STRICT
    ts: Time | None
    boot: Counter | None = None
    seq: Counter | None = None
    loc: tuple[Latitude, Longitude] | None = None
    faults: Annotated[tuple[FaultName, ...], Field(max_length=FAULTS_MAX)] = ()
    sim: bool = False


class Status(BaseModel):
    """A device's own word on whether it is there."""

    model_config = _STRICT
    online: bool


def _values_model(kind: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        key: (bool, None) if f.is_bool else (float, Field(None, ge=f.low, le=f.high))
        for key, f in CATALOGUE[kind].items()
    }
    if kind == "road":
        fields["accel"] = (Accel, None)
    return create_model(f"{kind.title()}Values", __config__=_STRICT, **fields)


MODELS: Mapping[str, type[BaseModel]] = {
    kind: create_model(
        f"{kind.title()}Message", __base__=MessageBase, values=(_values_model(kind), ...)
    )
    for kind in REPORTED_KINDS
}
"""Kind -> the contract of its messages; also the source of its JSON Schema."""


# -- the fast decoder, from the same catalogue ------------------------------------------------


class Message(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One message that keeps the contract. None: the key is not there, or null."""

    ts: str | None
    values: dict[str, Any]
    boot: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None
    seq: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None
    loc: (
        tuple[Annotated[float, Meta(ge=-90, le=90)], Annotated[float, Meta(ge=-180, le=180)]] | None
    ) = None
    faults: (
        Annotated[
            tuple[Annotated[str, Meta(pattern=_FAULT_NAME)], ...], Meta(max_length=FAULTS_MAX)
        ]
        | None
    ) = None
    sim: bool | None = None


_FastSamples = Annotated[
    list[Annotated[float, Meta(ge=-SAMPLE_MS2_MAX, le=SAMPLE_MS2_MAX)]],
    Meta(min_length=SAMPLES_MIN, max_length=SAMPLES_MAX),
]


class _FastAccel(TypedDict):
    rate_hz: Annotated[float, Meta(ge=1, le=2000)]
    z_ms2: _FastSamples
    x_ms2: NotRequired[_FastSamples]
    y_ms2: NotRequired[_FastSamples]


def _fast_decoder(kind: str) -> Callable[[bytes], Any]:
    fields: dict[str, Any] = {
        key: bool if f.is_bool else Annotated[float, Meta(ge=f.low, le=f.high)]
        for key, f in CATALOGUE[kind].items()
    }
    if kind == "road":
        fields["accel"] = _FastAccel
    values: Any = TypedDict("values", fields, total=False)  # type: ignore[misc]
    message = msgspec.defstruct(
        "message",
        [("values", values)],
        bases=(Message,),
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(message).decode


_FAST: Mapping[str, Callable[[bytes], Any]] = {kind: _fast_decoder(kind) for kind in REPORTED_KINDS}


def _colons(message: Message) -> int:
    """How many colons the text has if every key in it is known, stands there once and holds a
    value. The decoder passes over other keys in silence; where nothing is escaped, this tells.
    """
    values = message.values
    count = 2 + len(values)
    if message.ts is not None:
        count += message.ts.count(":")
    if message.boot is not None:
        count += 1
    if message.seq is not None:
        count += 1
    if message.loc is not None:
        count += 1
    if message.faults is not None:
        count += 1
    if message.sim is not None:
        count += 1
    return count + len(values["accel"]) if "accel" in values else count


def _is_even(accel: Mapping[str, Any] | None) -> bool:
    return accel is None or all(
        len(accel[axis]) == len(accel["z_ms2"]) for axis in ("x_ms2", "y_ms2") if axis in accel
    )


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_BACKSLASH = 0x5C
_COLON = 0x3A


def read(kind: str, payload: bytes) -> tuple[Message, int | None] | Refusal:
    """One message and its time in ms, or why it is refused. Reads all of `payload`: the caller
    bounds its size.
    """
    if _BACKSLASH not in payload:
        try:
            message: Message = _FAST[kind](payload)
        except _UNREADABLE:
            return _read_strictly(kind, payload)
        ts_ms = None if message.ts is None else ms_of(message.ts)
        if (
            payload.count(_COLON) == _colons(message)
            and (ts_ms is not None or message.ts is None)
            and (kind != "road" or _is_even(message.values.get("accel")))
        ):
            return message, ts_ms
    return _read_strictly(kind, payload)


def _read_strictly(kind: str, payload: bytes) -> tuple[Message, int | None] | Refusal:
    model = check(MODELS[kind], payload, kind)
    if isinstance(model, Refusal):
        return model
    message = Message(**model.model_dump(exclude_unset=True))
    return message, None if message.ts is None else ms_of(message.ts)


class _Numbers(msgspec.Struct):
    seq: Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
    boot: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None


_read_numbers = msgspec.json.Decoder(_Numbers).decode


def numbers_in(payload: bytes) -> tuple[int | None, int] | None:
    """(boot, seq) of a message that need not keep the contract, where they can be read."""
    try:
        numbers = _read_numbers(payload)
    except _UNREADABLE:
        return None
    return numbers.boot, numbers.seq


_Model = TypeVar("_Model", bound=BaseModel)


# -- the strict way, for everything that is not plain -----------------------------------------


def check(model: type[_Model], payload: bytes, kind: str) -> _Model | Refusal:
    """The text as `model`, or the first fault in it."""
    return find_bent(payload) or _validate(model, payload, kind)


def _validate(model: type[_Model], payload: bytes, kind: str) -> _Model | Refusal:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        # A key that is missing is often there under another name: that one tells more.
        telling = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
        return _refusal_of(telling["type"], telling["loc"], telling["msg"], kind)


# -- what a refusal says ----------------------------------------------------------------------

_REASONS = {
    "extra_forbidden": Reason.UNKNOWN_KEY,
    "missing": Reason.MISSING_KEY,
    "finite_number": Reason.NOT_FINITE,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "too_long": Reason.WRONG_LENGTH,
    "too_short": Reason.WRONG_LENGTH,
    "axes_differ": Reason.WRONG_LENGTH,
    "bad_time": Reason.BAD_TIME,
    "json_invalid": Reason.NOT_JSON,
}

_SHAPES = {
    "ts": "RFC 3339 with zone, such as 2026-01-15T20:05:00Z, or null without a clock",
    "boot": "a whole number, 0 to 2^53 - 1, that grows with each start of the device",
    "seq": "a whole number, 0 to 2^53 - 1, that grows by one with each message",
    "values": "an object of what was measured, such as {}",
    "loc": "[latitude, longitude] in degrees, WGS 84",
    "faults": f"a list of at most {FAULTS_MAX} uCIFI names, such as lamp_failure",
    "sim": "true or false",
    "online": "true or false",
    "accel": f'{{"rate_hz", "z_ms2"}} and perhaps "x_ms2" and "y_ms2": {SAMPLES_MIN} to '
    f"{SAMPLES_MAX} samples, as many on each axis",
    "rate_hz": "a number, 1 to 2000 Hz",
} | dict.fromkeys(
    ("x_ms2", "y_ms2", "z_ms2"),
    f"a list of {SAMPLES_MIN} to {SAMPLES_MAX} numbers, each within {SAMPLE_MS2_MAX} m/s2 of 0",
)


def _refusal_of(fault: str, loc: Sequence[int | str], message: str, kind: str) -> Refusal:
    reason = _REASONS.get(fault, Reason.WRONG_TYPE)
    if reason is Reason.MISSING_KEY and isinstance(loc[-1], int):
        reason = Reason.WRONG_LENGTH  # of a position
    path = ""
    for part in loc:
        path = f"{path}[{part}]" if isinstance(part, int) else join(path, part)
    names = [part for part in loc if isinstance(part, str)]
    return Refusal(reason, path, message, _hint(reason, names, kind))


def _hint(reason: Reason, names: Sequence[str], kind: str) -> str:
    if not names:
        return "send one JSON object"
    if reason is Reason.UNKNOWN_KEY:
        others = [other for other in REPORTED_KINDS if names[-1] in CATALOGUE[other]]
        if names[0] == "values" and others:
            return f"{names[-1]} is a value of kind {' and '.join(others)}, this is a {kind}"
        known = _keys_beside(names, kind)
        return nearest(names[-1], known) or f"keys here are {', '.join(known)}"
    return f"{names[-1]} is {_shape(names, kind)}"


def _keys_beside(names: Sequence[str], kind: str) -> list[str]:
    if len(names) == 1:
        return list(MODELS[kind].model_fields)
    if names[-2] == "accel":
        return list(Accel.model_fields)
    return [*CATALOGUE[kind], *(["accel"] if kind == "road" else [])]


def _shape(names: Sequence[str], kind: str) -> str:
    field = CATALOGUE[kind].get(names[-1]) if names[0] == "values" else None
    if field is None:
        return _SHAPES.get(names[-1], "not as the contract has it")
    if field.is_bool:
        return "true or false; leave it out if unknown"
    unit = "" if field.unit == "1" else f" {field.unit}"
    return f"a number without quotes, {field.low:g} to {field.high:g}{unit}; leave out if unknown"
