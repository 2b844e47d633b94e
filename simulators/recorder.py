"""Records what a broker delivers, until it is told to stop.

Each message is written with its topic, bytes, quality of service and the time at which it came,
and is in the file a second later. A lost connection is taken up again and told as a gap: what was
said meanwhile is missing. The retained flag is as it was published where the broker speaks MQTT 5;
others tell it only of what lay there when the recording began. Publishes nothing.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.subscribeoptions import SubscribeOptions

from simulators.recording import Tape
from simulators.topics import checked, without_covered
from simulators.uplink import Login, LoginRefusedError
from simulators.wire import Message

WHAT_DEVICES_SAY = ("city/v1/+/+/+/telemetry", "city/v1/+/+/+/batch", "city/v1/+/+/+/status")
FLUSH_EVERY_S = 1.0
BACK_OFF_S = (0.2, 5.0)
TIMEOUT_S = 10.0
KEEPALIVE_S = 20  # a broker that hangs is noticed after this and a half
REFUSED_FROM = 128  # reason codes from here on are refusals
PORTS: Mapping[str, int] = {"mqtt": 1883, "mqtts": 8883}


class Address(NamedTuple):
    host: str
    port: int
    tls: bool


class Gap(NamedTuple):
    """No connection from when to when. `until_ms` None: to the end of the recording."""

    since_ms: int
    until_ms: int | None


@dataclass(slots=True)
class Recorded:
    """So far. `repeated`: retained messages that came again after a gap and are not kept twice.
    `flags_whole`: whether the retained flags are as they were published.
    """

    messages: int = 0
    repeated: int = 0
    gaps: list[Gap] = field(default_factory=list)
    flags_whole: bool = True


def address_of(url: str) -> Address:
    """Raises ValueError for what is no address of a broker."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"not a broker address: {url!r}; it looks like mqtt://127.0.0.1:1883")
    return Address(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "mqtts")


class Recorder:
    """`run` it; `stop` ends it. `keep`: what to write of a message; None leaves it out."""

    def __init__(
        self,
        url: str,
        tape: Tape,
        filters: Sequence[str] = WHAT_DEVICES_SAY,
        login: Login | None = None,
        *,
        keep: Callable[[Message], Message | None] = lambda message: message,
        on_gap: Callable[[Gap], None] = lambda _: None,
    ) -> None:
        self._address = address_of(url)
        self._filters = without_covered(map(checked, filters))
        self._tape, self._login, self._keep, self._on_gap = tape, login, keep, on_gap
        self._version = aiomqtt.ProtocolVersion.V5
        self._lying = _Lying()
        self._begun = False
        self.hears = False
        self._stopped = asyncio.Event()
        self.recorded = Recorded()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> Recorded:
        """Until stopped. Raises LoginRefusedError and, where not even the first connection comes
        about, ConnectionError.
        """
        parts = (self._listen(), self._flush(), self._stopped.wait())
        work: list[asyncio.Task[object]] = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            self._tape.flush()
        return self.recorded

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._tape.flush()

    async def _listen(self) -> None:
        pause_s = BACK_OFF_S[0]
        while True:
            try:
                async with self._client() as client:
                    await self._subscribe(client)
                    pause_s = BACK_OFF_S[0]
                    self._connected()
                    async for heard in client.messages:
                        self._take(heard)
            except MqttConnectError as error:
                self._refused(error)
            except aiomqtt.MqttError as error:
                self._broken(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACK_OFF_S[1])

    def _client(self) -> aiomqtt.Client:
        login = self._login
        return aiomqtt.Client(
            self._address.host,
            self._address.port,
            username=login.user if login else None,
            password=login.password if login else None,
            identifier=f"record-{secrets.token_hex(6)}",
            protocol=self._version,
            timeout=TIMEOUT_S,
            keepalive=KEEPALIVE_S,
            tls_context=ssl.create_default_context() if self._address.tls else None,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        whole = self._version is aiomqtt.ProtocolVersion.V5
        for topic_filter in self._filters:
            if whole:
                options = SubscribeOptions(qos=2, retainAsPublished=True)
                codes = await client.subscribe(topic_filter, options=options)
            else:
                codes = await client.subscribe(topic_filter, 2)
            if any(_value(code) >= REFUSED_FROM for code in codes):
                raise LoginRefusedError(
                    f"the broker does not let this user hear {topic_filter!r}; name what it may "
                    "hear with --topic"
                )

    def _take(self, heard: aiomqtt.Message) -> None:
        payload = heard.payload if isinstance(heard.payload, bytes) else b""
        message = Message(_now_ms(), str(heard.topic), payload, heard.qos, bool(heard.retain))
        if self._lying.is_known(message):
            self.recorded.repeated += 1
            return
        kept = self._keep(message)
        if kept is not None:
            self._tape.write(kept)
            self.recorded.messages += 1

    # -- connections ------------------------------------------------------------------------------

    def _connected(self) -> None:
        self._begun = self.hears = True
        self._lying.look_again()
        gaps = self.recorded.gaps
        if gaps and gaps[-1].until_ms is None:
            gaps[-1] = gaps[-1]._replace(until_ms=_now_ms())
            self._on_gap(gaps[-1])

    def _refused(self, error: MqttConnectError) -> None:
        """An older broker does not speak MQTT 5; one that comes back may refuse for a while."""
        if self._version is aiomqtt.ProtocolVersion.V5 and "protocol" in str(error):
            self._version = aiomqtt.ProtocolVersion.V311
            self.recorded.flags_whole = False
        elif not self._begun:
            raise LoginRefusedError(f"the broker says {error}") from None
        else:
            self._broken(error)

    def _broken(self, error: aiomqtt.MqttError) -> None:
        self.hears = False
        if not self._begun:
            host, port, _ = self._address
            raise ConnectionError(f"{host}:{port}: {error}") from None
        gaps = self.recorded.gaps
        if not gaps or gaps[-1].until_ms is not None:
            gaps.append(Gap(_now_ms(), None))
            self._on_gap(gaps[-1])


class _Lying:
    """What lies retained on the broker: after a gap it comes again, though nobody said it anew."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._again: dict[str, int] = {}

    def look_again(self) -> None:
        self._again = dict(self._last)

    def is_known(self, message: Message) -> bool:
        """Asked once of every message."""
        content = hash(message.payload)
        self._last[message.topic] = content
        if not self._again:
            return False
        return self._again.pop(message.topic, None) == content and message.retain


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _value(code: object) -> int:
    return int(getattr(code, "value", code))  # type: ignore[call-overload, no-any-return]
