"""Sparkplug B: a receiver that knows births, aliases, sequence numbers and deaths of edge nodes.

Data bears aliases alone; names and datatypes come from the last birth. A message whose number does
not follow the one before is judged all the same, told as a gap, and a rebirth is asked for, at most
once in REBIRTH_MS. A death counts only for the birth whose number it bears. What is historical is
late, not news; what is null is not known.
"""

from dataclasses import dataclass, field
from typing import Any

from gateway.envelopes.sparkplug_payload import (
    BadPayloadError,
    Payload,
    read_payload,
    signed,
)
from gateway.envelopes.uplink import Opened, Uplink, no
from gateway.refusal import Reason, Refusal

REBIRTH_MS = 60_000
NODES_MAX = 10_000
ALIASES_MAX = 20_000  # of one node
REBIRTH = b"\x12\x1a\x0a\x14Node Control/Rebirth\x20\x0b\x70\x01"
"""The command, as protobuf: one metric, a boolean, true."""
_TYPES = ("NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA")


@dataclass(slots=True)
class _Node:
    bd_seq: int | None = None
    seq: int | None = None
    alive: bool = False
    sim: bool = False
    names: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    """Alias -> (device, name, datatype)."""
    kinds: dict[str, str] = field(default_factory=dict)
    asked_ms: int = -REBIRTH_MS


class Sparkplug:
    """All edge nodes that were heard of."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self.rebirths: list[str] = []
        """Topics to which a rebirth is to be sent."""

    def take_rebirths(self) -> list[str]:
        asked, self.rebirths = self.rebirths, []
        return asked

    def open(self, topic: str, payload: bytes, now_ms: int) -> Opened:
        parts = topic.split("/")
        if len(parts) >= 2 and parts[1] == "STATE":
            return no(Reason.NOT_A_READING, "topic", "the state of a host", "nothing to do")
        if len(parts) in (4, 5) and parts[2] in ("NCMD", "DCMD"):  # our own among them
            return no(Reason.NOT_A_READING, "topic", "a command to a node", "nothing to do")
        if len(parts) not in (4, 5) or parts[0] != "spBv1.0" or parts[2] not in _TYPES:
            hint = "spBv1.0/{group}/{type}/{edge node}/{device}"
            return no(Reason.WRONG_TOPIC, "topic", "not a message of an edge node", hint)
        try:
            read = read_payload(payload)
        except BadPayloadError as error:
            hint = "a Sparkplug B payload in protobuf, not compressed"
            return no(Reason.WRONG_TYPE, str(error), "not a Sparkplug B payload", hint)
        key = f"{parts[1]}/{parts[3]}"
        if key not in self._nodes and len(self._nodes) >= NODES_MAX:
            return no(Reason.TOO_LARGE, "topic", "too many edge nodes", "another gateway")
        node = self._nodes.setdefault(key, _Node())
        device = parts[4] if len(parts) == 5 else parts[3]
        return self._message(node, key, parts[2], device, read, now_ms)

    def _message(
        self, node: _Node, key: str, kind: str, device: str, read: Payload, now_ms: int
    ) -> Opened:
        if kind == "NDEATH":
            return _death(node, read)
        refusals = []
        if kind == "NBIRTH":
            _born(node, read)
        elif not node.alive:
            self._ask(node, key, now_ms)
            hint = "a rebirth is asked for: the node tells its names again"
            return no(Reason.NOT_BORN, "topic", f"{kind} before any birth of the node", hint)
        elif (gap := _gap(node, read)) is not None:
            refusals.append(gap)
            self._ask(node, key, now_ms)
        if kind == "DDEATH":
            return no(Reason.NOT_A_READING, "topic", f"{device} is offline", "nothing to do")
        if kind.endswith("BIRTH"):
            _names(node, device, read)
        uplink, unknown = _uplink(node, device, read)
        if unknown:
            self._ask(node, key, now_ms)
            hint = "a rebirth is asked for: the node tells its names again"
            what = f"no birth has named alias {unknown[0]}"
            refusals.append(Refusal(Reason.NOT_BORN, f"metrics[{unknown[1]}]", what, hint))
        return ([uplink] if uplink.object or uplink.faults else []), refusals

    def _ask(self, node: _Node, key: str, now_ms: int) -> None:
        if now_ms - node.asked_ms >= REBIRTH_MS:
            node.asked_ms = now_ms
            group, _, name = key.partition("/")
            self.rebirths.append(f"spBv1.0/{group}/NCMD/{name}")


def _born(node: _Node, read: Payload) -> None:
    said = {metric.name: metric.value for metric in read.metrics}
    bd_seq = said.get("bdSeq")
    node.bd_seq = bd_seq if isinstance(bd_seq, int) else None
    node.seq, node.alive = read.seq, True
    node.names.clear()
    node.kinds.clear()
    node.sim = said.get("Properties/simulated") is True


def _death(node: _Node, read: Payload) -> Opened:
    """A will may overtake the next birth: it counts only for the birth that it belongs to."""
    bd_seq = next((metric.value for metric in read.metrics if metric.name == "bdSeq"), None)
    if node.bd_seq is not None and bd_seq != node.bd_seq:
        what = f"the death of an earlier session (bdSeq {bd_seq}, now {node.bd_seq})"
        return no(Reason.NOT_A_READING, "bdSeq", what, "nothing to do")
    node.alive = False
    return no(Reason.NOT_A_READING, "topic", "the edge node is offline", "nothing to do")


def _gap(node: _Node, read: Payload) -> Refusal | None:
    """Numbers go 0 to 255 over births, data and deaths of a node."""
    expected, node.seq = (None if node.seq is None else (node.seq + 1) % 256), read.seq
    if expected is None or read.seq is None or read.seq == expected:
        return None
    lost = (read.seq - expected) % 256
    what = f"the number {read.seq} follows {(expected - 1) % 256}: {lost} are missing"
    hint = "what came is taken; a rebirth is asked for"
    return Refusal(Reason.OUT_OF_ORDER, "seq", what, hint)


def _names(node: _Node, device: str, read: Payload) -> None:
    for metric in read.metrics:
        if metric.alias is not None and metric.name and len(node.names) < ALIASES_MAX:
            node.names[metric.alias] = (device, metric.name, metric.datatype)
        if metric.name == "Properties/kind" and isinstance(metric.value, str):
            node.kinds[device] = metric.value


def _uplink(node: _Node, device: str, read: Payload) -> tuple[Uplink, tuple[int, int] | None]:
    """The reading, and an alias that nobody knows with its place."""
    said: dict[str, Any] = {}
    faults, times, unknown = list[str](), list[int](), None
    for i, metric in enumerate(read.metrics):
        name, datatype = metric.name, metric.datatype
        if not name and metric.alias is not None:
            known = node.names.get(metric.alias)
            if known is None:
                unknown = unknown or (metric.alias, i)
                continue
            name, datatype = known[1], known[2] or datatype
        value = None if metric.null else signed(metric.value, datatype)
        if value is None or name.startswith(("Properties/", "Node Control/")) or name == "bdSeq":
            continue
        times += [metric.ts_ms] if metric.ts_ms else []
        if name.startswith("fault/"):
            faults += [name.removeprefix("fault/")] if value is True else []
        else:
            _put(said, name, value)
    ts_ms = max(times, default=read.ts_ms or 0) or None
    kind = node.kinds.get(device, "")
    return Uplink(device, ts_ms, kind, said, sim=node.sim, faults=tuple(faults)), unknown


def _put(said: dict[str, Any], name: str, value: Any) -> None:
    """`accel/z_ms2` is part of a window, its samples in a text; of other paths the last part is the
    name.
    """
    head, _, tail = name.rpartition("/")
    if head.rpartition("/")[2] != "accel":
        said[tail] = value
        return
    window = said.setdefault("accel", {})
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.split()]
        except ValueError:
            return
    if isinstance(window, dict):
        window[tail] = value
