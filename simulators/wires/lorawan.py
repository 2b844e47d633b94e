"""What LoRaWAN network servers publish: The Things Stack v3, ChirpStack v4 and v3.

The server wraps what the radio brought: it knows the time, the radio and the counter, the device's
own clock is not in it. As in proto3 JSON, fields that are zero, false or empty are left out;
times have nanoseconds; some numbers are texts. Decoded values stand beside the bytes, unless the
vendor's codec is not installed (`raw`): then the bytes are all there is.
"""

import base64
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simulators.wire import Message, encode, rfc3339
from simulators.wires.uplink_frame import Frame, digest
from simulators.wires.vendor import EM400_PORT, LDDS75_PORT, em400_mud, ldds75

TENANT = "city"
FREQUENCIES_HZ = (868_100_000, 868_300_000, 868_500_000)
APPLICATIONS = {"streetlight": 1, "cabinet": 2, "road": 3, "bin": 4}


class LoraWan:
    """One network server. `raw`: frames without decoded values, of kinds that have bytes here."""

    def __init__(self, envelope: Callable[[Frame, Mapping[str, Any], int, bytes], Message], *,
                 raw: bool = False) -> None:  # fmt: skip
        self._envelope, self._raw = envelope, raw

    def say(self, frame: Frame) -> Iterator[Message]:
        port, data = _bytes_of(frame)
        raw = (self._raw and frame.kind == "bin") or frame.values is None
        yield self._envelope(frame, {} if raw else _decoded(frame), port, data)


def tts(frame: Frame, decoded: Mapping[str, Any], port: int, data: bytes) -> Message:
    """`v3/{application}@{tenant}/devices/{device}/up`, at QoS 0."""
    eui, application = frame.eui.hex().upper(), f"{frame.kind}s"
    received = _nanoseconds(frame.sent.t_ms)
    radio = frame.id_bytes()
    uplink = {
        "session_key_id": base64.b64encode(digest(f"{frame.device}/{frame.boot}", 12)).decode(),
        "f_port": port, "f_cnt": frame.seq, "frm_payload": base64.b64encode(data).decode(),
        "decoded_payload": decoded,
        "rx_metadata": [{
            "gateway_ids": {"gateway_id": frame.sent.concentrator}, "time": received,
            "rssi": -60 - radio[0] % 60, "snr": radio[1] % 20 - 8 or 0.5,
        }],
        "settings": {
            "data_rate": {"lora": {"bandwidth": 125_000, "spreading_factor": 7 + radio[2] % 6}},
            "frequency": str(FREQUENCIES_HZ[radio[3] % 3]), "time": _nanoseconds(frame.ts_ms),
        },
        "received_at": received, "consumed_airtime": f"0.{radio[4]:03d}s",
    }  # fmt: skip
    body = {
        "end_device_ids": {
            "device_id": frame.device.lower().replace("_", "-"),
            "application_ids": {"application_id": application},
            "dev_eui": eui, "dev_addr": eui[:8],
        },
        "correlation_ids": [f"as:up:{uuid.UUID(bytes=radio)}"],
        "received_at": received,
        "uplink_message": _said(uplink),
        "simulated": True,
    }  # fmt: skip
    device = frame.device.lower().replace("_", "-")
    topic = f"v3/{application}@{TENANT}/devices/{device}/up"
    return frame.sent._replace(topic=topic, payload=encode(body), qos=0)


def chirpstack(frame: Frame, decoded: Mapping[str, Any], port: int, data: bytes) -> Message:
    """Version 4: `application/{uuid}/device/{dev_eui}/event/up`."""
    application = str(uuid.UUID(bytes=digest(f"application/{frame.kind}", 16)))
    eui, radio = frame.eui.hex(), frame.id_bytes()
    tags = {"device": frame.device, "zone": frame.zone, "kind": frame.kind, "sim": "true"}
    body = {
        "deduplicationId": str(uuid.UUID(bytes=radio)),
        "time": _nanoseconds(frame.ts_ms).replace("Z", "+00:00"),
        "deviceInfo": {
            "tenantId": str(uuid.UUID(bytes=digest("tenant", 16))), "tenantName": TENANT,
            "applicationId": application, "applicationName": f"{frame.kind}s",
            "deviceProfileName": frame.kind, "deviceName": frame.device, "devEui": eui,
            "tags": tags,
        },
        "devAddr": eui[:8], "dr": 5 - radio[2] % 6, "fCnt": frame.seq, "fPort": port,
        "data": base64.b64encode(data).decode(), "object": decoded,
        "rxInfo": [{"gatewayId": digest(frame.sent.concentrator, 8).hex(),
                    "rssi": -60 - radio[0] % 60, "snr": radio[1] % 20 - 8 or 0.5}],
        "txInfo": {"frequency": FREQUENCIES_HZ[radio[3] % 3]},
    }  # fmt: skip
    topic = f"application/{application}/device/{eui}/event/up"
    return frame.sent._replace(topic=topic, payload=encode(_said(body)))


def chirpstack3(frame: Frame, decoded: Mapping[str, Any], port: int, data: bytes) -> Message:
    """Version 3: EUIs in base64, the application a number as text, the values JSON in a text."""
    application, radio = str(APPLICATIONS[frame.kind]), frame.id_bytes()
    body = {
        "applicationID": application, "applicationName": f"{frame.kind}s",
        "deviceName": frame.device, "devEUI": base64.b64encode(frame.eui).decode(),
        "rxInfo": [{"gatewayID": base64.b64encode(digest(frame.sent.concentrator, 8)).decode(),
                    "time": None, "rssi": -60 - radio[0] % 60, "loRaSNR": radio[1] % 20 - 8}],
        "txInfo": {"frequency": FREQUENCIES_HZ[radio[3] % 3], "dr": 5},
        "adr": True, "fCnt": frame.seq, "fPort": port,
        "data": base64.b64encode(data).decode(),
        "objectJSON": encode(decoded).decode() if decoded else "",
        "tags": {"zone": frame.zone, "kind": frame.kind, "sim": "true"},
        "publishedAt": _nanoseconds(frame.sent.t_ms),
    }  # fmt: skip
    topic = f"application/{application}/device/{frame.eui.hex()}/event/up"
    return frame.sent._replace(topic=topic, payload=encode(body))


def _decoded(frame: Frame) -> Mapping[str, Any]:
    """What the vendor's codec would give, under our names; nothing of what has no values."""
    decoded = dict(frame.values or {})
    if frame.loc is not None:
        decoded["latitude"], decoded["longitude"] = frame.loc
    if frame.claims:
        decoded["faults"] = list(frame.claims)
    return decoded


def _bytes_of(frame: Frame) -> tuple[int, bytes]:
    """(port, bytes). Bins are of two makes; what has no bytes here shows its message's number."""
    if frame.values is None:
        return 1, frame.sent.payload[:51]
    if frame.kind != "bin":
        return 1, frame.id_bytes()[:11]
    if frame.eui[0] % 2:
        return EM400_PORT, em400_mud(frame.values)
    return LDDS75_PORT, ldds75(frame.values)


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """As proto3 JSON has it: what is zero, false or empty is not said."""
    return {key: value for key, value in body.items() if value not in (0, "", False, {}, [])}


def _nanoseconds(ts_ms: int) -> str:
    return f"{rfc3339(ts_ms - ts_ms % 1000)[:-1]}.{ts_ms % 1000:03d}000000Z"
