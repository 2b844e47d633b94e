"""The other side of the benchmark, each verb in a process of its own: publish, subscribe, drain,
pace. `drain` is the yardstick: paho with manual acknowledgement that does nothing else."""

import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

FILTER = "city/v1/+/+/+/telemetry"
IN_FLIGHT = 500
LAMPS = 1000
RATE_PER_S = 1000


def connect(path: str, user: str, **options: Any) -> mqtt.Client:
    credentials = json.loads(Path(path).read_text())
    parts = urlsplit(credentials["url"])
    login = credentials["gateway"] if user == "bare" else credentials["devices"][user]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, **options)
    client.username_pw_set(login.get("user", user), login["password"])
    client.max_inflight_messages_set(IN_FLIGHT)
    for name in ("on_connect", "on_message"):
        setattr(client, name, None)
    client._address = (parts.hostname, parts.port)
    return client


def body(at: float, boot: int, number: int) -> bytes:
    ts = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    values = {"active_power_w": 57.9, "dim_level_pct": 100, "voltage_v": 230.4}
    return json.dumps({"ts": ts, "boot": boot, "seq": number, "values": values}).encode()


def publish(client: mqtt.Client, count: int, start: int, devices: int = LAMPS) -> dict[str, Any]:
    client.connect(*client._address)
    client.loop_start()
    room = threading.Semaphore(IN_FLIGHT)
    client.on_publish = lambda *_: room.release()
    began = time.time()
    for i in range(count):
        room.acquire()
        topic = f"city/v1/z/streetlight/d{i % devices}/telemetry"
        client.publish(topic, body(began, 1, (start + i) // devices), qos=1)
    for _ in range(IN_FLIGHT):
        room.acquire()
    client.disconnect()
    client.loop_stop()
    return {"per_s": count / (time.time() - began)}


def drain(client: mqtt.Client, count: int) -> dict[str, Any]:
    seen: list[float] = []
    done = threading.Event()

    def on_message(client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        seen.append(0.0 if seen else time.monotonic())
        if len(seen) == max(1, count):
            seen.append(time.monotonic())
            done.set()

    client.on_connect = lambda c, *_: c.subscribe(FILTER, 1)
    client.on_subscribe = lambda *_: done.set() if not count else None
    client.on_message = on_message
    client.connect(*client._address)
    client.loop_start()
    done.wait(120)
    client.disconnect()
    client.loop_stop()
    return {"per_s": (count - 1) / (seen[-1] - seen[0]) if count else 0}


def pace(client: mqtt.Client, count: int) -> dict[str, Any]:
    """Publishes at a steady rate; each message says when."""
    client.connect(*client._address)
    client.loop_start()
    time.sleep(1)
    began = time.monotonic()
    for i in range(count):
        pause = began + i / RATE_PER_S - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        topic = f"city/v1/z/streetlight/d{i % LAMPS}/telemetry"
        client.publish(topic, body(time.time(), 2, i // LAMPS), 1)
    took = time.monotonic() - began
    time.sleep(2)
    client.disconnect()
    client.loop_stop()
    return {"rate_per_s": round(count / took)}


def main() -> None:
    path, user, verb, *rest = sys.argv[1:]
    numbers = [int(x) for x in rest]
    persistent = verb in ("subscribe", "drain")
    client = connect(
        path,
        user,
        client_id=f"bench-{verb if not persistent else 'bare'}",
        clean_session=not persistent,
        manual_ack=persistent,
    )
    verbs = {"publish": publish, "subscribe": drain, "drain": drain, "pace": pace}
    sys.stdout.write(json.dumps(verbs[verb](client, *numbers)))


if __name__ == "__main__":
    main()
