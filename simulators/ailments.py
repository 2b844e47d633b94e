"""What ails a device: its clock, its battery, its firmware, its memory, its name.

Each ailment is a layer over the device's stream: over what its sensor says, before it is numbered
and packed, or over the messages that it sends. Outside its fault's time a layer passes everything
on as it is. The truth about the thing stays with the sensor; none of this mends or breaks a lamp.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any, NamedTuple

from simulators.catalogue import how_bad
from simulators.faults import Fault, Kind
from simulators.spoilt import spoil
from simulators.wire import Message, Said, Voice, encode, rfc3339

SPOILT_SHARE = 0.4  # of a sick device's messages
SENTINEL_SHARE = 0.5  # of the reports of a sensor that now and then does not answer
SENTINELS = (65535, -1, "n/a")
STALE_AGE_MS = 3 * 86_400_000
BOOT_MS = (300, 900)  # from power to the first message
AGAIN_MS = 1500  # from one sending of the same to the next
HOUR_MS = 3_600_000
KNEE_V = 3.4  # a lithium cell whose plateau at 3.6 V is over
# (share of the run, share of what is left to fall): the knee, a slope, the end.
DISCHARGE = ((0.0, 0.0), (0.1, 0.3), (0.5, 0.6), (0.85, 0.8), (1.0, 1.0))


class Patient(NamedTuple):
    """A device with one of its faults. `alias`: whose name it takes, where it takes one."""

    fault: Fault
    voice: Voice
    rng: Random
    run_end_ms: int
    alias: str

    @property
    def end_ms(self) -> int:
        return self.run_end_ms if self.fault.end_ms is None else self.fault.end_ms

    def how_bad(self, name: str) -> float:
        return how_bad(self.fault, name)


OfSaying = Callable[[Patient, Iterable[Said]], Iterator[Said]]
OfSending = Callable[[Patient, Iterable[Message]], Iterator[Message]]


# --- values -------------------------------------------------------------------------------------


def _runs_down(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    """The battery, from the end of its plateau to `volts` at the end. What has no battery among
    its values (a cabinet, a vehicle) has none that could run down.
    """
    start_ms, end_v = patient.fault.start_ms, patient.how_bad("volts")
    span_ms = max(1, patient.end_ms - start_ms)
    for said in says:
        if patient.voice.kind not in ("bin", "streetlight") or not patient.fault.active(said.ts_ms):
            yield said
            continue
        fallen = _discharged((said.ts_ms - start_ms) / span_ms)
        volts = KNEE_V - (KNEE_V - end_v) * fallen + patient.rng.gauss(0, 0.005)
        yield said._replace(values={**said.values, "battery_v": round(volts, 2)})


def _discharged(share: float) -> float:
    at = min(bisect_right(DISCHARGE, (share, 2.0)), len(DISCHARGE) - 1)
    (x0, y0), (x1, y1) = DISCHARGE[at - 1], DISCHARGE[at]
    return y0 + (y1 - y0) * (share - x0) / (x1 - x0)


# Kilowatts, metres, fractions, kilometres an hour, g.
_WRONG_UNITS: Mapping[str, float] = {
    "active_power_w": 0.001, "energy_wh": 0.001, "distance_mm": 0.001, "fill_pct": 0.01,
    "ppv_mm_s": 0.001, "speed_mps": 3.6, "weight_kg": 0.001,
}  # fmt: skip
_G_MS2, _AXES = 9.80665, frozenset({"x_ms2", "y_ms2", "z_ms2"})


def _in_other_units(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    for said in says:
        if patient.fault.active(said.ts_ms):
            values = {name: _converted(name, value) for name, value in said.values.items()}
            yield said._replace(values=values)
        else:
            yield said


def _converted(name: str, value: Any) -> Any:
    if name == "accel":
        axes = {axis: [round(x / _G_MS2, 4) for x in value[axis]] for axis in value.keys() & _AXES}
        return {"rate_hz": value["rate_hz"], **dict(sorted(axes.items()))}
    return round(value * _WRONG_UNITS[name], 6) if name in _WRONG_UNITS else value


def _under_other_keys(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    """A firmware of another version: `active_power_w` has become `activePower`."""
    for said in says:
        if patient.fault.active(said.ts_ms):
            values = {_other_key(name): value for name, value in said.values.items()}
            yield said._replace(values=values)
        else:
            yield said


def _other_key(name: str) -> str:
    first, *rest = name.split("_")[:-1] or (name, "raw")
    return first + "".join(word.capitalize() for word in rest)


def _with_sentinels(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    """The sensor does not answer, and the firmware writes its mark for that as if it were a value.
    A whole report bears the same mark.
    """
    for said in says:
        if patient.fault.active(said.ts_ms) and patient.rng.random() < SENTINEL_SHARE:
            mark = patient.rng.choice(SENTINELS)
            yield said._replace(values=dict.fromkeys(said.values, mark))
        else:
            yield said


# --- clocks and memory --------------------------------------------------------------------------


def _from_1970(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    """It starts anew and counts from 1970 until somebody sets its clock."""
    started = False
    for said in says:
        if not patient.fault.active(said.ts_ms):
            yield said
            continue
        if not started:
            started = True
            patient.voice.restart()
        yield said._replace(ts_ms=said.ts_ms - patient.fault.start_ms)


def _hours_ahead(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    ahead_ms = round(patient.how_bad("hours") * HOUR_MS)
    for said in says:
        if patient.fault.active(said.ts_ms):
            yield said._replace(ts_ms=said.ts_ms + ahead_ms)
        else:
            yield said


def _boots_again(patient: Patient, says: Iterable[Said]) -> Iterator[Said]:
    """While it lasts, only the first message of each start comes: what the sensor showed last,
    since it shows it still, but for a window, which takes longer than the device lives.
    """
    every_ms = round(patient.how_bad("every_s") * 1000)
    next_ms, latest = patient.fault.start_ms, None
    for said in says:
        while latest and next_ms < min(said.ts_ms, patient.end_ms):
            patient.voice.restart()
            yield latest._replace(t_ms=next_ms + patient.rng.randint(*BOOT_MS), ts_ms=next_ms)
            next_ms += every_ms
        next_ms = max(next_ms, said.ts_ms)
        shown = {name: value for name, value in said.values.items() if name != "accel"}
        latest = said._replace(values=shown)
        if not patient.fault.active(said.ts_ms):
            yield said


# --- sending ------------------------------------------------------------------------------------


def _falls_silent(patient: Patient, messages: Iterable[Message]) -> Iterator[Message]:
    return (message for message in messages if not patient.fault.active(message.t_ms))


def _sends_rubbish(patient: Patient, messages: Iterable[Message]) -> Iterator[Message]:
    rng = patient.rng
    for message in messages:
        if patient.fault.active(message.t_ms) and rng.random() < SPOILT_SHARE:
            yield message._replace(payload=spoil(message.payload, rng))
        else:
            yield message


def _takes_a_name(patient: Patient, messages: Iterable[Message]) -> Iterator[Message]:
    """The other's name in place of its own, wherever it stands."""
    own, other = patient.voice.device, patient.alias
    for message in messages:
        if other and patient.fault.active(message.t_ms):
            topic = message.topic.replace(own, other)
            payload = message.payload.replace(own.encode(), other.encode())
            yield message._replace(topic=topic, payload=payload)
        else:
            yield message


def _repeats_itself(patient: Patient, messages: Iterable[Message]) -> Iterator[Message]:
    """The same bytes again and again, between newer ones where those come sooner."""
    times = round(patient.how_bad("times"))
    waiting: list[tuple[int, int, Message]] = []
    for number, message in enumerate(messages):
        while waiting and waiting[0][0] <= message.t_ms:
            yield heapq.heappop(waiting)[2]
        yield message
        if patient.fault.active(message.t_ms):
            for nth in range(1, times):
                t_ms = message.t_ms + nth * AGAIN_MS
                heapq.heappush(waiting, (t_ms, number, message._replace(t_ms=t_ms)))
    while waiting:
        yield heapq.heappop(waiting)[2]


OF_SAYING: Mapping[Kind, OfSaying] = {
    Kind.BATTERY_DECAY: _runs_down,
    Kind.WRONG_UNIT: _in_other_units,
    Kind.WRONG_VERSION: _under_other_keys,
    Kind.SENTINEL: _with_sentinels,
    Kind.EPOCH_CLOCK: _from_1970,
    Kind.CLOCK_AHEAD: _hours_ahead,
    Kind.BOOT_LOOP: _boots_again,
}
OF_SENDING: Mapping[Kind, OfSending] = {
    Kind.DEVICE_SILENT: _falls_silent,
    Kind.SICK: _sends_rubbish,
    Kind.SPOOFED: _takes_a_name,
    Kind.REPEATED: _repeats_itself,
}


_STALE_VALUES: Mapping[str, Mapping[str, Any]] = {
    "streetlight": {"active_power_w": 0.0, "voltage_v": 240.0, "relay_on": True},
    "bin": {"fill_pct": 97.0, "temperature_c": 81.0},
}


def stale_reading(voice: Voice, start_ms: int) -> Message:
    """Telemetry of three days ago that somebody left retained: a dark lamp, a burning bin."""
    body: dict[str, Any] = {
        "ts": rfc3339(start_ms - STALE_AGE_MS), "boot": voice.boot - 1, "seq": 9000,
        "values": _STALE_VALUES[voice.kind],
    }  # fmt: skip
    payload = encode(body | ({"sim": True} if voice.sim else {}))
    topic = voice.topic("telemetry")
    return Message(start_ms, topic, payload, 1, True, voice.concentrator, voice.device)
