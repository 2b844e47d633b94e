"""A device's side of the contract in one file, for MicroPython and CPython.

It owns the readings of one device from when they are taken until the city has them on disk: each is
numbered and written to flash before it is sent, sent again until an `ack` has passed its number,
and then let go. Power may fail at any time. It never makes up a time: without a clock, and until
the first `ack` has told the time, a reading says `null`. With room for `keep_max` readings it lets
the oldest go when that is full; the gap in the numbers tells the city so.

On a microcontroller, with `umqtt.simple` from micropython-lib:

    from umqtt.simple import MQTTClient
    from sense311_publisher import Publisher
    client = MQTTClient("lamp-7", "broker.example", 8883, "lamp-7", PASSWORD, 60, ssl=True)
    lamp = Publisher(client, "north", "streetlight", "lamp-7")
    while True:
        lamp.add({"active_power_w": measure()})
        for _ in range(60):
            lamp.poll()
            time.sleep(1)

On CPython, `PahoClient` below takes the place of `MQTTClient`. The gateway needs
`device_acks = true` in its section `[ingest]`.
"""

import json
import os
import random
import time

BATCH_MAX = 20  # messages at a time: what a microcontroller has memory for
RETRY_MS = 30_000  # what is not acknowledged by then is sent again
PING_MS = 20_000  # a sign of life at least so often, within the usual keep-alive of 60 s
PAUSE_MS_MIN = 1_000  # between attempts to connect; doubles, with some chance in it, so that a
PAUSE_MS_MAX = 300_000  # thousand devices do not come back in the same second
DAY_MS = 86_400_000


class Publisher:
    """One device. `client`: connected and disconnected by this class; it has the methods of
    `umqtt.simple.MQTTClient`. `folder`: where the readings are kept; `clock`: gives the
    milliseconds since 1970 in UTC, or None while they are not known.
    """

    def __init__(self, client, zone, kind, device, folder=".", keep_max=500, clock=None):
        self._client = client
        self._topic = "city/v1/%s/%s/%s/" % (zone, kind, device)
        self._kept = Kept(folder, device, keep_max)
        self._clock = clock or self._told_time
        self._ahead_ms = None
        self._connected = False
        self._connect_at = 0
        self._pause_ms = PAUSE_MS_MIN
        self._sent = 0
        self._said_at = 0
        self.problem = None
        client.set_callback(self._hear)
        client.set_last_will(self._topic + "status", b'{"online": false}', True, 1)

    @property
    def waiting(self):
        """How many readings the city has not acknowledged."""
        return len(self._kept.messages)

    def add(self, values, loc=None, faults=()):
        """Number a reading and keep it; it is on flash when this returns. Gives its number."""
        now_ms = self._clock()
        message = {"ts": None if now_ms is None else rfc3339(now_ms), "values": values}
        if loc is not None:
            message["loc"] = loc
        if faults:
            message["faults"] = list(faults)
        let_go = self._kept.add(message)
        self._sent = max(0, self._sent - let_go)
        return message["seq"]

    def poll(self):
        """Connect, hear, send: whatever is due. True while connected; never raises. What went wrong
        last stands in `problem`.
        """
        try:
            if not self._connected and not self._connect():
                return False
            self._client.check_msg()
            self._send()
        except Exception as error:  # a device in the street has nobody to tell
            self.problem = error
            self._lose()
        return self._connected

    def close(self):
        """Say goodbye; what is kept stays kept."""
        if self._connected:
            try:
                self._client.publish(self._topic + "status", b'{"online": false}', True, 1)
                self._client.disconnect()
            except OSError:
                pass
        self._connected = False

    def _connect(self):
        if 0 <= self._connect_at - _local_ms() <= 2 * PAUSE_MS_MAX:  # else the clock was set
            return False
        self._connect_at = _local_ms() + self._pause_ms * (128 + random.getrandbits(8)) // 256
        self._pause_ms = min(PAUSE_MS_MAX, self._pause_ms * 2)
        self._client.connect()
        self._client.subscribe(self._topic + "ack", 1)
        self._client.publish(self._topic + "status", b'{"online": true}', True, 1)
        self._connected, self._sent, self._pause_ms = True, 0, PAUSE_MS_MIN
        return True

    def _lose(self):
        self._connected = False
        try:
            self._client.disconnect()
        except Exception:  # there may be no connection to end
            pass

    def _send(self):
        """What was not sent on this connection, or not acknowledged in time. One start of the
        device after the other: an `ack` speaks of one.
        """
        silent_ms = _local_ms() - self._said_at
        if self._sent and not 0 <= silent_ms < RETRY_MS:
            self._sent = 0
        messages = self._kept.messages
        boot = messages[0]["boot"] if messages else None
        group = [m for m in messages[self._sent : self._sent + BATCH_MAX] if m["boot"] == boot]
        if not group:
            if not self._sent and not 0 <= silent_ms < PING_MS:
                self._client.ping()
                self._said_at = _local_ms()
            return
        leaf, said = ("telemetry", group[0]) if len(group) == 1 else ("batch", group)
        self._client.publish(self._topic + leaf, json.dumps(said), False, 1)
        self._sent += len(group)
        self._said_at = _local_ms()

    def _hear(self, _topic, payload):
        """An acknowledgement: lets go, and tells the time."""
        try:
            told = json.loads(payload)
            server_ms, boot, upto = milliseconds(told["server_time"]), told["boot"], told["upto"]
        except (ValueError, KeyError, TypeError, IndexError):
            return
        self._ahead_ms = server_ms - _local_ms()
        self._sent = max(0, self._sent - self._kept.let_go(boot, upto))

    def _told_time(self):
        return None if self._ahead_ms is None else _local_ms() + self._ahead_ms


class Kept:
    """The readings on flash, oldest first, and the number of this start of the device."""

    def __init__(self, folder, device, keep_max):
        self._path = folder + "/" + device + ".kept"
        self._keep_max = keep_max
        self._lines = 0
        started = folder + "/" + device + ".boot"
        self.boot = int(_read(started) or 0) + 1
        _replace(started, str(self.boot))
        self._seq = 0
        self.messages = []
        for line in _read(self._path).split("\n"):
            try:
                self.messages.append(json.loads(line))
            except ValueError:
                pass  # power failed while it was written: `add` had not returned
        self.messages = self.messages[-keep_max:]
        self._write_again()

    def add(self, message):
        """Number and keep it; how many old ones had to go for it."""
        message["boot"], message["seq"] = self.boot, self._seq
        line = json.dumps(message)
        with open(self._path, "a") as file:
            file.write(line + "\n")
            _sync(file)
        self._seq += 1
        self._lines += 1
        self.messages.append(message)
        surplus = max(0, len(self.messages) - self._keep_max)
        self._drop(surplus)
        return surplus

    def let_go(self, boot, upto):
        """The city has those of this start up to this number; how many these were."""
        count = 0
        for message in self.messages:
            if message["boot"] != boot or message["seq"] > upto:
                break
            count += 1
        self._drop(count)
        return count

    def _drop(self, count):
        """Flash wears out: the file is written again only when it is all old, or half of it."""
        if count:
            self.messages = self.messages[count:]
            if not self.messages or self._lines > 2 * self._keep_max:
                self._write_again()

    def _write_again(self):
        _replace(self._path, "".join([json.dumps(m) + "\n" for m in self.messages]))
        self._lines = len(self.messages)


class PahoClient:
    """paho-mqtt 2 with the methods of `umqtt.simple.MQTTClient`, for CPython. `tls`: an
    `ssl.SSLContext`, with the device's certificate where the broker asks for one.
    """

    def __init__(
        self, client_id, server, port=1883, user=None, password=None, keepalive=60, tls=None
    ):
        import queue

        import paho.mqtt.client as mqtt

        self._server, self._port, self._keepalive = server, port, keepalive
        self._arrived = queue.SimpleQueue()
        version = mqtt.CallbackAPIVersion.VERSION2
        self._client = mqtt.Client(version, client_id, reconnect_on_failure=False)
        self._client.on_message = lambda _client, _data, message: self._arrived.put(message)
        if user is not None:
            self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)

    def set_callback(self, hear):
        self._hear = hear

    def set_last_will(self, topic, payload, retain, qos):
        self._client.will_set(topic, payload, qos, retain)

    def connect(self):
        self._client.connect(self._server, self._port, self._keepalive)
        self._client.loop_start()
        deadline = time.monotonic() + 10
        while not self._client.is_connected():
            if time.monotonic() > deadline:
                raise OSError("the broker did not let us in: is the password right?")
            time.sleep(0.01)

    def subscribe(self, topic, qos):
        self._client.subscribe(topic, qos)

    def publish(self, topic, payload, retain, qos):
        told = self._client.publish(topic, payload, qos, retain)
        try:
            told.wait_for_publish(10)
        except (ValueError, RuntimeError) as error:
            raise OSError(str(error)) from None
        if not told.is_published():
            raise OSError("the broker did not answer")

    def check_msg(self):
        while not self._arrived.empty():
            message = self._arrived.get()
            self._hear(message.topic, message.payload)
        if not self._client.is_connected():
            raise OSError("the connection is gone")

    def ping(self):
        """Nothing to do: paho does so by itself."""

    def disconnect(self):
        self._client.disconnect()
        self._client.loop_stop()


def rfc3339(unix_ms):
    """Milliseconds since 1970 as a time in UTC. Ports of MicroPython count from 1970 or 2000 and
    have floats of 24 bits, so the calendar is worked out here, in whole numbers.
    """
    day, rest = unix_ms // DAY_MS + 719468, unix_ms % DAY_MS
    # Days since 0000-03-01: leap days are the last of their year then.
    era, of_era = day // 146097, day % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    date = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (1 if month <= 2 else 0)
    clock = rest // 3_600_000, rest // 60_000 % 60, rest // 1000 % 60, rest % 1000
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % ((year, month, date) + clock)


def milliseconds(text):
    """The other way: a time in UTC, as the gateway writes it, as milliseconds since 1970."""
    year, month, date = int(text[0:4]), int(text[5:7]), int(text[8:10])
    if month <= 2:
        year, month = year - 1, month + 12
    day = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + date
    clock_s = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
    fraction = text[20:-1] if text[19] == "." else ""
    return (day - 719469) * DAY_MS + clock_s * 1000 + int((fraction + "000")[:3])


def _local_ms():
    """The device's own clock, whatever it counts from."""
    return time.time_ns() // 1_000_000


def _read(path):
    """What stands in a file; "" if there is none. A new one that was to take its place counts if
    power failed between the two.
    """
    for name in (path, path + ".new"):
        try:
            with open(name) as file:
                return file.read()
        except OSError:
            pass
    return ""


def _replace(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
        _sync(file)
    try:
        os.rename(path + ".new", path)
    except OSError:  # some file systems do not rename over a file
        os.remove(path)
        os.rename(path + ".new", path)


def _sync(file):
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
