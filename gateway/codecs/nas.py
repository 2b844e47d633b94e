"""NAS UL20xx: DALI luminaire controllers, little endian, the port says which packet.

From the maker's public codec description. What the controller claims to be wrong is kept beside
what it measures: the rules judge the measurement, the claim is evidence.
"""

from gateway.codecs.frame import (
    Codec,
    Content,
    Reader,
    TooShort,
    Value,
    not_a_reading,
    reading,
    too_short,
    unknown_frame,
)

EPOCH_MIN_S = 1_420_070_400  # 2015: an earlier clock counts from its start
INTERNAL = 0xFF  # the controller's own meter, not a driver's
_ECHOES = {49: "a request for its configuration", 50: "its configuration", 51: "a command",
           60: "the answer to a command", 99: "start-up, or a command that it refused"}  # fmt: skip
_DRIVER = ("control_gear_failure", "lamp_failure")
_STATUS = {0: "dali_error", 1: "dali_connection_lost", 5: "hardware_error", 6: "firmware_error"}
_METERING = {0: "lamp_failure", 1: "over_current", 2: "under_voltage", 3: "over_voltage",
             4: "low_power_factor"}  # fmt: skip


def _decode(data: bytes, port: int) -> Content:
    if port in _ECHOES:
        return not_a_reading(_ECHOES[port])
    packets = {24: _status, 25: _usage, 61: _alert}
    if port not in packets or not data:
        return unknown_frame(data, f"nothing is known of port {port}")
    try:
        return packets[port](data)
    except TooShort:
        return too_short(data)


def _status(data: bytes) -> Content:
    reader = Reader(data, "<")
    epoch_s, flags = reader.take("I"), reader.take("B")
    reader.take("B")  # the strength of the radio
    reader.take("b")
    temperature, analog = reader.take("b"), reader.take("B")
    for sent in (analog & 1, analog & 2):
        if sent:
            reader.take("B")
    level = None
    while reader.left:
        for _ in range(4):  # profile, version, address, days
            reader.take("B")
        level = reader.take("B") if level is None else max(level, reader.take("B"))
    values: dict[str, Value | None] = {
        "temperature_c": float(temperature),
        "relay_on": bool(flags & 0x80),
        "dim_level_pct": float(level) if level is not None and level <= 100 else None,
    }
    faults = [name for bit, name in _STATUS.items() if flags >> bit & 1]
    ts_ms = 1000 * epoch_s if epoch_s >= EPOCH_MIN_S else None
    return reading(values, faults, ts_ms=ts_ms)


def _usage(data: bytes) -> Content:
    """Reports of drivers and of the controller's own meter, which is what the lamp draws."""
    reader = Reader(data, "<")
    reports: list[tuple[int, dict[str, Value | None]]] = []
    while reader.left:
        address, sent = reader.take("B"), reader.take("B")
        values: dict[str, Value | None] = {}
        for bit, (form, key, scale) in enumerate(_USAGE):
            if sent >> bit & 1:
                number = reader.take(form) * scale
                if key:
                    values[key] = round(float(number), 4)
        reports.append((address, values))
    own = [values for address, values in reports if address == INTERNAL] or [
        values for _, values in reports
    ]
    return reading(own[0]) if own and own[0] else not_a_reading("a usage report without values")


_USAGE = (
    ("I", "energy_wh", 1), ("H", "active_power_w", 1), ("I", "", 1), ("H", "", 1),
    ("B", "power_factor", 0.01), ("B", "voltage_v", 1), ("I", "", 1), ("I", "", 1),
)  # fmt: skip
"""Bit by bit: form, our key, factor. The load side and the hours are left out."""


def _alert(data: bytes) -> Content:
    reader = Reader(data, "<")
    header, second = reader.take("B"), reader.take("B")
    if header == 0x83:
        faults = set[str]()
        while reader.left:
            reader.take("B")
            state = reader.take("B")
            faults |= {name for bit, name in enumerate(_DRIVER) if state >> bit & 1}
        return reading({}, sorted(faults)) if faults else not_a_reading("drivers without a fault")
    if header == 0x84:
        power, voltage, factor = reader.take("H"), reader.take("H"), reader.take("B")
        values: dict[str, Value | None] = {
            "active_power_w": float(power),
            "voltage_v": float(voltage),
            "power_factor": round(factor / 100, 2),
        }
        return reading(values, [name for bit, name in _METERING.items() if second >> bit & 1])
    if header in (0x80, 0x81):
        return not_a_reading("its switch input or its light sensor")
    return unknown_frame(data, f"no alert {header:#04x}")


CODECS = (Codec("ul20xx", "streetlight", _decode, "NAS UL20xx, DALI luminaire controller"),)
