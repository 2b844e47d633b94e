"""One concentrator's connection to the broker: sends what its buffer holds and loses nothing.

A message leaves the buffer only when the broker has acknowledged it, or, with `await_ack`, when
the gateway has said that it is on disk. After a broken connection everything unacknowledged is
sent again, in order: receivers see some messages twice, never none. At most `outstanding` messages
are unacknowledged at any time. Gives up only on a login that is refused again and again.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from simulators.buffer import Buffer, Entry
from simulators.wire import Message

OUTSTANDING_MAX = 20  # paho's own limit is not kept across a reconnect
BACK_OFF_S = (0.1, 1.0)
TIMEOUT_S = 30.0  # for one answer of the broker; a hung one is left and connected anew
REFUSALS_MAX = 10  # in a row; a starting broker may refuse for a second or two
BUFFER_MAX = 50_000  # messages; then the devices behind the concentrator wait
LOOK_AGAIN_S = 0.5  # how often to look for messages the gateway has not acknowledged
DEFAULT_PORT = 1883


class LoginRefusedError(ConnectionError):
    """The broker does not accept this user; sending cannot go on."""


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


class Uplink:
    """Give it messages in order with `put`, `close` it when there are no more, await `run`.

    Raises ValueError for an address that is not mqtt://host:port.
    """

    def __init__(
        self,
        name: str,
        url: str,
        login: Login | None = None,
        *,
        await_ack: bool = False,
        outstanding: int = OUTSTANDING_MAX,
        on_done: Callable[[Message], None] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise ValueError(f"not a broker address: {url!r}; it looks like mqtt://127.0.0.1:1883")
        self._host, self._port = parts.hostname, parts.port or DEFAULT_PORT
        self._name, self._login, self._on_done = name, login, on_done
        self._await_ack, self._outstanding = await_ack, outstanding
        self._buffer = Buffer(await_ack=await_ack)
        self._changed, self._room = asyncio.Event(), asyncio.Event()
        self._closed = False
        self.reconnects = 0

    @property
    def given_up(self) -> int:
        """Messages that the broker has and the gateway never acknowledged."""
        return self._buffer.given_up

    @property
    def oldest_ms(self) -> float:
        """The time of the oldest message not surely delivered; infinite where all are."""
        return self._buffer.oldest_ms

    async def put(self, message: Message) -> None:
        """Waits while the buffer is full."""
        while len(self._buffer) >= BUFFER_MAX:
            self._room.clear()
            await self._room.wait()
        self._buffer.put(message)
        self._changed.set()

    def close(self) -> None:
        """No more messages will come: `run` returns when the buffer is empty."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Sends until closed and empty. Raises LoginRefusedError."""
        refusals, pause_s = 0, BACK_OFF_S[0]
        while not self._finished():
            try:
                async with self._client() as client:
                    refusals, pause_s = 0, BACK_OFF_S[0]
                    await self._session(client)
                    continue
            except MqttConnectError as error:
                refusals += 1
                if refusals >= REFUSALS_MAX:
                    raise LoginRefusedError(f"{self._name}: the broker says {error}") from None
            except aiomqtt.MqttError:
                self.reconnects += 1
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACK_OFF_S[1])

    def _finished(self) -> bool:
        return self._closed and not self._buffer

    def _client(self) -> aiomqtt.Client:
        # A fresh client each time: nothing of the library's own queue survives a session.
        login = self._login
        client = aiomqtt.Client(
            self._host,
            self._port,
            username=login.user if login else None,
            password=login.password if login else None,
            identifier=f"sim-{self._name}-{secrets.token_hex(4)}",
            timeout=TIMEOUT_S,
            max_inflight_messages=self._outstanding,
        )
        client.pending_calls_threshold = self._outstanding + 10  # it warns above
        return client

    async def _session(self, client: aiomqtt.Client) -> None:
        """One connection, until it breaks (MqttError) or all is done."""
        tasks = [asyncio.create_task(work(client)) for work in (self._listen, self._send)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except* aiomqtt.MqttError as broken:
            raise aiomqtt.MqttError("connection lost") from broken
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._buffer.connection_lost()

    async def _send(self, client: aiomqtt.Client) -> None:
        subscribed: set[str] = set()
        async with asyncio.TaskGroup() as flights:
            while not self._finished():
                self._changed.clear()
                while self._buffer.flying < self._outstanding and (
                    entry := self._buffer.take_off()
                ):
                    if entry.key is not None:
                        await _hear_acks(client, entry.message, subscribed)
                    flights.create_task(self._publish(client, entry))
                await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN_S if self._await_ack else None)
        except TimeoutError:
            self._tell(self._buffer.overdue(asyncio.get_running_loop().time()))

    async def _publish(self, client: aiomqtt.Client, entry: Entry) -> None:
        message = entry.message
        await client.publish(message.topic, message.payload, message.qos, message.retain)
        if self._buffer.landed(entry, asyncio.get_running_loop().time()):
            self._tell([message])
        self._changed.set()

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Hears the gateway's acknowledgements; its failing is how a broken connection shows."""
        async for heard in client.messages:
            try:
                body = json.loads(heard.payload if isinstance(heard.payload, bytes) else b"")
                boot, upto = int(body["boot"]), int(body["upto"])
            except (ValueError, KeyError, TypeError):
                continue  # not an acknowledgement
            self._tell(self._buffer.cover(heard.topic.value.split("/")[-2], boot, upto))
            self._changed.set()

    def _tell(self, messages: list[Message]) -> None:
        self._room.set()
        if self._on_done is not None:
            for message in messages:
                self._on_done(message)


async def _hear_acks(client: aiomqtt.Client, message: Message, subscribed: set[str]) -> None:
    topic = message.topic.removesuffix("telemetry") + "ack"
    if topic not in subscribed:
        await client.subscribe(topic, 1)
        subscribed.add(topic)
