"""The published contract: what devices may say and what they are told, as JSON Schema 2020-12.

Pure. Made from the models that judge messages and from the catalogue of values, so that it cannot
drift from them; only what the models say in Python is written again here, as patterns. A schema
accepts a message exactly when the gateway does, but for what stands in `NOT_EXPRESSIBLE`. Schemas
of what devices are told name the keys that are there today; more may come.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.contract import INTEGER_MAX, MODELS, Status
from gateway.field.device_status import DeviceState
from gateway.refusal import NUMBER_CHARS_MAX, Reason
from gateway.telemetry import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    ROAD_BYTES_MAX,
    STATUS_BYTES_MAX,
)
from rules.fields import CATALOGUE, REPORTED_KINDS

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "v1"
URN = f"urn:sense311:{VERSION}"

NOT_EXPRESSIBLE: Mapping[str, str] = MappingProxyType(
    {
        "text": "The text is JSON in UTF-8 without a byte order mark; NaN and Infinity are not "
        "JSON. No key stands in an object twice. A number of more than "
        f"{NUMBER_CHARS_MAX} characters may be refused.",
        "size": f"A message has at most {MESSAGE_BYTES_MAX} bytes, one of kind road "
        f"{ROAD_BYTES_MAX}, a batch {BATCH_BYTES_MAX}, a status {STATUS_BYTES_MAX}.",
        "whole numbers": "`boot` and `seq` are written without point and exponent: 3, not 3.0.",
        "axes": "The axes of `accel` that are there have the same number of samples.",
    }
)
"""What the gateway asks for and JSON Schema cannot say."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "active_power_w": "power drawn now",
        "current_a": "current, root mean square",
        "voltage_v": "voltage, root mean square",
        "power_factor": "power factor",
        "dim_level_pct": "the dimming command in action; 0 is off",
        "relay_on": "whether the relay is closed",
        "energy_wh": "reading of the meter",
        "lux_lx": "illuminance at the sensor",
        "temperature_c": "temperature of the device",
        "tilt_deg": "inclination",
        "battery_v": "voltage of the battery",
        "battery_level_pct": "charge of the battery",
        "door_open": "whether the door is open",
        "peak_ms2": "largest vertical deviation from the mean of a window",
        "rms_ms2": "vertical deviation from the mean, root mean square",
        "crest": "peak_ms2 over rms_ms2",
        "dominant_hz": "strongest line of the spectrum of a window",
        "speed_mps": "speed over ground",
        "heading_deg": "direction of travel, clockwise from north",
        "ppv_mm_s": "peak particle velocity, of fixed sensors",
        "fill_pct": "how full, of the usable height",
        "distance_mm": "from the sensor down to the waste; the asset's measures turn it into fill",
        "lid_open": "whether the lid is open",
        "weight_kg": "weight of the waste",
    }
)
"""What each value is, by its key."""

_ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "ts": "When it was measured; null from a device without a clock.",
        "boot": "How often the device has started.",
        "seq": "The number of the message since that start, without holes; null or left out where "
        "messages are not numbered.",
        "loc": "[latitude, longitude] in degrees, WGS 84; needed from what moves.",
        "faults": "The device's own claims, in uCIFI names.",
        "sim": "Whether it is simulated; refused unless the gateway's configuration allows it.",
        "values": "What was measured; what is not known is left out.",
        "rate_hz": "Samples a second.",
        "z_ms2": "By itself the vertical; with x and y the direction of gravity tells it.",
        "x_ms2": "As many samples as z_ms2, or null.",
        "y_ms2": "As many samples as z_ms2, or null.",
        "accel": "A window of acceleration, in place of the features worked out from one.",
    }
)

_TITLES: Mapping[str, str] = MappingProxyType(
    {"streetlight": "street light", "cabinet": "feeder cabinet", "road": "road", "bin": "bin"}
)
_START: Mapping[str, Any] = MappingProxyType({"ts": "2026-01-15T20:05:00Z", "boot": 3})
EXAMPLES: Mapping[str, Schema] = MappingProxyType(
    {
        "streetlight": {
            **_START,
            "seq": 1201,
            "values": {"active_power_w": 57.9, "dim_level_pct": 100},
            "faults": ["lamp_failure"],
        },
        "cabinet": {**_START, "seq": 7, "values": {"current_a": 41.5, "door_open": False}},
        "road": {
            **_START,
            "seq": 88,
            "loc": [41.8807, -87.6301],
            "values": {
                "speed_mps": 11.2,
                "accel": {"rate_hz": 100, "z_ms2": [9.8, 9.7, 9.9, 14.6, 4.1, 9.2, 10.1, 9.8]},
            },
        },
        "bin": {**_START, "seq": 42, "values": {"fill_pct": 83, "temperature_c": 11.5}},
        "status": {"online": True},
        "ack": {"boot": 3, "upto": 1201, "server_time": "2026-01-15T20:05:01Z"},
        "dead-letter": {
            "reason": "unknown_key",
            "path": "values.fill",
            "message": "Extra inputs are not permitted",
            "hint": "did you mean fill_pct?",
            "topic": "city/v1/north/bin/b-17/telemetry",
            "received_at": "2026-01-15T20:05:01Z",
            "payload_b64": "eyJ0cyI6bnVsbCwidmFsdWVzIjp7ImZpbGwiOjgzfX0=",
            "count": 1,
        },
        "device-status": {
            "state": "online",
            "since": "2026-01-15T06:00:00Z",
            "last_seen": "2026-01-15T20:05:01Z",
            "clock_skew_s": 0.0,
            "duplicates": 0,
            "late": 0,
            "rejected": 0,
            "battery_v": 3.6,
        },
    }
)


def schemas() -> dict[str, Schema]:
    """Name -> a document that stands for itself."""
    found = {kind: message_schema(kind) for kind in REPORTED_KINDS}
    found |= {f"{kind}-batch": batch_schema(kind) for kind in REPORTED_KINDS}
    return found | {
        "status": _status(), "ack": _ack(), "dead-letter": _dead_letter(),
        "device-status": _device_status(),
    }  # fmt: skip


# -- what devices say -------------------------------------------------------------------------


def message_schema(kind: str) -> Schema:
    """Of one message on the `telemetry` topic."""
    model: Schema = _plain(MODELS[kind].model_json_schema(mode="validation"))
    definitions: Schema = model.pop("$defs") | {"Time": time_schema()}
    for key, value in definitions[f"{kind.title()}Values"]["properties"].items():
        value.update(_about_value(kind, key))
    for key, value in definitions.get("Accel", {}).get("properties", {}).items():
        value["description"] = _ABOUT[key]
    properties: Schema = model["properties"]
    properties["ts"] = {"anyOf": [{"$ref": "#/$defs/Time"}, {"type": "null"}]}
    for key, value in properties.items():
        value["description"] = _ABOUT[key]
    unsaid = ["text", "size", "whole numbers", *(["axes"] if kind == "road" else [])]
    about = f"What a device of kind {kind} publishes. {_unsaid(unsaid)}"
    head = _head(kind, f"Message, {_TITLES[kind]}", about)
    return head | model | {"examples": [EXAMPLES[kind]], "$defs": definitions}


def batch_schema(kind: str) -> Schema:
    """Of what was kept during an outage, on the `batch` topic."""
    message = message_schema(kind)
    definitions = message.pop("$defs")
    for key in ("$schema", "$id"):
        del message[key]
    about = (
        "Messages, oldest first. Each stands for itself: one that breaks the contract is refused "
        f"and the others are taken. {_unsaid(['text', 'size'])}"
    )
    return _head(f"{kind}-batch", f"Batch, {_TITLES[kind]}", about) | {
        "type": "array",
        "maxItems": BATCH_MESSAGES_MAX,
        "items": {"$ref": f"#/$defs/{kind}"},
        "examples": [[EXAMPLES[kind]]],
        "$defs": definitions | {kind: message},
    }


def _status() -> Schema:
    model: Schema = _plain(Status.model_json_schema(mode="validation"))
    del model["description"]
    model["properties"]["online"]["description"] = "false is also the device's will."
    about = f"A device's own word on whether it is there. {_unsaid(['text', 'size'])}"
    return _head("status", "Status", about) | model | {"examples": [EXAMPLES["status"]]}


def _about_value(kind: str, key: str) -> Schema:
    field = CATALOGUE[kind].get(key)
    if field is None:
        return {"description": _ABOUT[key]}
    meaning = MEANINGS[key]
    about: Schema = {"description": f"{meaning[0].upper()}{meaning[1:]}."}
    return about if field.is_bool else about | {"x-unit": field.unit}


def _unsaid(names: list[str]) -> str:
    return " ".join(["What no schema can say:", *(NOT_EXPRESSIBLE[name] for name in names)])


def _plain(node: Any) -> Any:
    """Without titles that repeat a name and defaults that cannot be sent; a position has no third
    number. Where `$` also matches before a last line feed, as in Python, that is closed.
    """
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: _plain(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str)) and (key, value) != ("default", None)
    }
    if "prefixItems" in found:
        found["items"] = False
    return found | _ONE_LINE if "pattern" in found else found


_ONE_LINE: MappingProxyType[str, Schema] = MappingProxyType({"not": {"pattern": r"\n"}})


# -- times ------------------------------------------------------------------------------------

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_TWO_OF_4 = "(?:0[48]|[2468][048]|[13579][26])"  # divided by four, and not 00
_LEAP_YEAR = f"(?:[0-9]{{2}}{_TWO_OF_4}|{_TWO_OF_4}00)"
_DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_HOUR_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = (
    rf"^{_DAY}[Tt]{_HOUR_MINUTE}:(?:[0-5][0-9]|60)(?:\.[0-9]{{1,9}})?(?:[Zz]|[+-]{_HOUR_MINUTE})$"
)


def time_schema() -> Schema:
    """RFC 3339 with zone: days of the calendar only, from year 1; up to nine digits of a second."""
    leap = "A leap second is the last of a day in UTC: 23:59:60Z, or 00:59:60+01:00."
    plain: Schema = {"pattern": "^.{17}[0-5]"}
    return {
        "type": "string",
        "description": f"RFC 3339 with zone, such as 2026-01-15T20:05:00Z. {leap}",
        "pattern": _TIME,
        **_ONE_LINE,
        "anyOf": [plain, {"allOf": [{"pattern": one} for one in _leap_second()]}],
    }


def _leap_second() -> tuple[str, str]:
    """In the hours, and in the minutes: what the clock shows less the offset is 23:59 UTC."""
    utc, gap = "59:60[.0-9]*[Zz]", "60[.0-9]*"
    hours, minutes = [f"23:{utc}"], [utc]
    for h in range(24):
        hours += [f"{h:02}:(?:[0-4].|5[0-8]):{gap}[+]{h:02}", f"{23 - h:02}:..:{gap}-{h:02}"]
        hours.append(f"{(h - 1) % 24:02}:59:{gap}[+]{h:02}")
    for m in range(60):
        minutes += [f"{(m - 1) % 60:02}:{gap}[+]..:{m:02}", f"{59 - m:02}:{gap}-..:{m:02}"]
    return f"^.{{11}}(?:{'|'.join(hours)})", f"^.{{14}}(?:{'|'.join(minutes)})$"


# -- what devices are told --------------------------------------------------------------------

_COUNT: MappingProxyType[str, Any] = MappingProxyType({"type": "integer", "minimum": 0})


def _ack() -> Schema:
    number: Schema = {**_COUNT, "maximum": INTEGER_MAX}
    about = "Everything of this boot up to this number is on disk, or was refused."
    return _told(
        "ack", "Acknowledgement", about,
        boot={"anyOf": [number, {"type": "null"}],
              "description": "As the device said it; null from one that does not."},
        upto=number | {"description": "The last number before the first hole."},
        server_time={"$ref": "#/$defs/Time", "description": "When it was said."},
    )  # fmt: skip


def _dead_letter() -> Schema:
    reasons = [str(reason) for reason in Reason if reason is not Reason.NOT_A_READING]
    text: Schema = {"type": "string"}
    return _told(
        "dead-letter", "Dead letter", "Why a message was refused, and how to mend it.",
        reason={"type": "string", "enum": reasons},
        path=text | {"description": "To the fault, as in values.accel.z_ms2[3]."},
        message=text,
        hint=text | {"description": "What to do."},
        topic=text | {"description": "Where it was published."},
        received_at={"$ref": "#/$defs/Time"},
        payload_b64={"type": "string", "contentEncoding": "base64",
                     "description": "The message, or its beginning."},
        count={"type": "integer", "minimum": 1,
               "description": "How many refusals of this reason it stands for."},
    )  # fmt: skip


def _device_status() -> Schema:
    time = {"anyOf": [{"$ref": "#/$defs/Time"}, {"type": "null"}]}
    return _told(
        "device-status", "Device status", "How a device stands; retained.",
        state={"type": "string", "enum": [str(state) for state in DeviceState]},
        since=time | {"description": "Since when it is in this state."},
        last_seen=time | {"description": "When it was last heard; null for never."},
        clock_skew_s={"type": "number", "description": "How far its clock is ahead.",
                      "x-unit": "s"},
        duplicates=_COUNT | {"description": "Messages that came again."},
        late=_COUNT | {"description": "Messages that came too late to be judged."},
        rejected=_COUNT | {"description": "Messages that were refused."},
        battery_v={"type": ["number", "null"], "description": "As it said last.", "x-unit": "V"},
    )  # fmt: skip


def _told(name: str, title: str, about: str, **properties: Schema) -> Schema:
    return _head(name, title, about) | {
        "type": "object",
        "properties": {key: dict(value) for key, value in properties.items()},
        "required": list(properties),
        "examples": [EXAMPLES[name]],
        "$defs": {"Time": time_schema()},
    }


def _head(name: str, title: str, about: str) -> Schema:
    return {"$schema": DRAFT, "$id": f"{URN}:{name}", "title": title, "description": about}
