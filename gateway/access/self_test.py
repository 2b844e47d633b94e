"""The broker on trial: nobody may speak for another device, listen in, or leave something behind.

It logs in as a device of its own and tries, under the other's client id: each leaf, retained, by
will, and every filter that might hear more than its own. It listens as the gateway would, since a
broker may acknowledge what it drops. Both can be heard, or the trial says nothing. What is allowed
is a `status` at QoS 0, so no session keeps it; what got through retained is taken back.
"""

import secrets
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.access.credentials import BrokerError, BrokerReason
from gateway.access.logins import Login
from gateway.access.mosquitto import SELF_TEST_DEVICE, SELF_TEST_OTHER, SELF_TEST_ZONE

_ANSWER_S = 20.0  # a broker that has just started may have a whole city at its door
_LOOK_S = 0.02
_ZONE = f"city/v1/{SELF_TEST_ZONE}"
_OWN, _OTHER = (f"{_ZONE}/streetlight/{name}" for name in (SELF_TEST_DEVICE, SELF_TEST_OTHER))
_LEAVES = ("telemetry", "batch", "status")
_HEARD = [f"{_ZONE}/+/+/{leaf}" for leaf in _LEAVES]  # not other zones: each lamp has a `status`
_LISTENING_IN = (
    f"{_OTHER}/ack", f"{_ZONE}/+/+/ack", "city/v1/+/+/+/ack", f"{_ZONE}/+/+/status",
    f"city/v1/dead-letter/native/{SELF_TEST_OTHER}", "city/v1/dead-letter/#",
    f"{_ZONE}/#", "city/#", "#", f"$share/self-test/{_ZONE}/#",
)  # fmt: skip
_ONLINE, _GONE = b'{"online": true}', b'{"online": false}'
_SPOOF = b'{"self_test": "nobody should see this"}'


class Trial(NamedTuple):
    """`leaks`: what got through, in words; none on a broker that keeps devices apart."""

    leaks: tuple[str, ...]
    seconds: float

    def verdict(self, url: str) -> None:
        """BrokerError (NOT_CONFINED): something got through."""
        if self.leaks:
            message = f"a device that is not {SELF_TEST_OTHER} " + "; ".join(self.leaks)
            hint = "give each its own user and the rules that `sense311 devices provision` writes"
            raise BrokerError(BrokerReason.NOT_CONFINED, url, message, hint)


@dataclass(frozen=True)
class _Heard:
    topic: str
    payload: bytes
    retained: bool


class _Party:
    """One connection, served while somebody waits for something."""

    def __init__(self, login: Login, name: str, will: str | None = None) -> None:
        self.login = login
        self.heard: list[_Heard] = []
        self.answered: set[int] = set()
        self.connected: bool | None = None
        """None: no answer yet. False: refused, or the connection has ended."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv311, reconnect_on_failure=False
        )
        if login.password is not None:
            client.username_pw_set(login.user, login.password)
        if will is not None:
            client.will_set(will, _GONE)
        client.on_connect = lambda _c, _d, _f, code, _p: self._answer(not code.is_failure)
        client.on_disconnect = lambda *_: self._answer(connected=False)
        client.on_publish = lambda _c, _d, mid, *_: self.answered.add(mid)
        client.on_subscribe = lambda _c, _d, mid, *_: self.answered.add(mid)
        client.on_message = self._hear
        self.client = client
        parts = urlsplit(login.url)
        if parts.scheme == "mqtts":
            client.tls_set_context(_tls(login))
        client.connect_timeout = _ANSWER_S
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        client.connect(parts.hostname or "127.0.0.1", port)
        wire = client.socket()
        if wire is not None:  # small packets one after the other: do not wait to put them together
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[attr-defined]

    def _answer(self, connected: bool) -> None:
        self.connected = connected

    def _hear(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.heard.append(_Heard(message.topic, bytes(message.payload), message.retain))

    @property
    def wire(self) -> Any:
        return self.client.socket() if self.connected is not False else None

    def serve(self) -> None:
        if self.wire is not None:
            self.client.loop(0)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        return self.client.publish(topic, payload, qos, retain).mid

    def subscribe(self, filters: Sequence[str]) -> int:
        return self.client.subscribe([(topic, 0) for topic in filters])[1] or 0

    def die(self) -> None:
        """Without a goodbye, so that a will is carried out."""
        self.connected = False
        self._hang_up()

    def close(self) -> None:
        if self.connected:
            self.client.disconnect()
            self.client.loop(0)
        self._hang_up()

    def _hang_up(self) -> None:
        wire = self.client.socket()
        if wire is not None:
            wire.close()


def _tls(login: Login) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=login.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if login.certificate is not None:
        context.load_cert_chain(login.certificate, login.key)
    return context


def admits(login: Login) -> bool:
    """Whether the broker lets it in, under a name that disturbs no session. OSError: no broker."""
    with _parties() as (enter, until):
        party = enter(login, f"probe-{secrets.token_hex(8)}")
        until(lambda: party.connected is not None, "an answer")
        return bool(party.connected)


def wait_until_admitted(login: Login, *, admitted: bool, timeout_s: float) -> bool:
    """Whether it came so within the time: a broker needs a moment to read its users again."""
    deadline_s = time.monotonic() + timeout_s
    while admits(login) != admitted:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_LOOK_S)
    return True


def try_broker(gateway: Login, device: Login) -> Trial:
    """`gateway` hears what the gateway hears, `device` may speak for `self-test-a` only.

    BrokerError: the broker is not there, or refuses what it has to allow.
    """
    began_s = time.monotonic()
    try:
        with _parties() as (enter, until):
            trial = _Trial(gateway, device, enter, until)
            leaks = tuple(dict.fromkeys(trial.leaks()))
    except OSError as error:
        raise _failure(device, f"cannot be reached ({error})") from None
    return Trial(leaks, time.monotonic() - began_s)


_Enter = Callable[..., _Party]
_Until = Callable[[Callable[[], Any], str], None]


@contextmanager
def _parties() -> Iterator[tuple[_Enter, _Until]]:
    """Who enters is served while anybody waits, and has left at the end."""
    present: list[_Party] = []
    with ExitStack() as leaving:

        def enter(login: Login, name: str, will: str | None = None) -> _Party:
            party = _Party(login, name, will)
            leaving.callback(party.close)
            present.append(party)
            return party

        def until(condition: Callable[[], Any], what: str) -> None:
            deadline_s = time.monotonic() + _ANSWER_S
            while not condition():
                if time.monotonic() > deadline_s:
                    raise _failure(present[0].login, f"{what} did not come")
                wires = [party.wire for party in present if party.wire is not None]
                select.select(wires, [], [], _LOOK_S)
                for party in present:
                    party.serve()

        yield enter, until


def _failure(login: Login, message: str) -> BrokerError:
    hint = "the self-test needs a gateway's login and that of the device self-test-a"
    return BrokerError(BrokerReason.NOT_RUNNING, login.url, f"self-test: {message}", hint)


class _Trial:
    """The attempts, one after the other."""

    def __init__(self, gateway: Login, device: Login, enter: _Enter, until: _Until) -> None:
        self._gateway, self._device = gateway, device
        self._enter, self._until = enter, until
        self._ear = self._listener()
        self._spoofer = self._as_other()

    def leaks(self) -> Iterator[str]:
        yield from self._speaking()
        yield from self._listening()
        yield from self._dying()
        yield from self._left_behind()

    def _let_in(self, login: Login, name: str) -> _Party:
        party = self._enter(login, name)
        self._until(lambda: party.connected is not None, f"an answer to {login.user}")
        if not party.connected:
            raise _failure(login, f"{login.user} is not let in")
        return party

    def _listener(self) -> _Party:
        ear = self._let_in(self._gateway, f"self-test-ear-{secrets.token_hex(8)}")
        self._answered(ear, ear.subscribe(_HEARD))
        return ear

    def _as_other(self) -> _Party:
        """The name of the session is the other's: it must not count."""
        return self._let_in(self._device, SELF_TEST_OTHER)

    def _answered(self, party: _Party, mid: int) -> None:
        """A broker may also end the connection of who tries too much: that is an answer."""
        self._until(lambda: mid in party.answered or not party.connected, "an acknowledgement")

    def _fence(self, ear: _Party) -> None:
        """All that was published before is here when this is; nothing keeps it."""
        heard = len(ear.heard)
        self._stay_in()
        self._spoofer.publish(f"{_OWN}/status", _ONLINE, qos=0)
        self._until(
            lambda: any(h.topic.startswith(_OWN) for h in ear.heard[heard:]),
            "what self-test-a published for itself",
        )

    def _stay_in(self) -> None:
        """A broker may cut off who tries too much, or lets each user in only once."""
        self._spoofer.serve()
        if not self._spoofer.connected:
            self._spoofer = self._as_other()

    def _attempt(self, topic: str, *, retain: bool = False) -> None:
        self._stay_in()
        self._answered(self._spoofer, self._spoofer.publish(topic, _SPOOF, retain=retain))

    def _speaking(self) -> Iterator[str]:
        for leaf in _LEAVES:
            self._attempt(f"{_OTHER}/{leaf}")
        self._attempt(f"{_OTHER}/status", retain=True)
        self._fence(self._ear)
        for heard in self._ear.heard:
            if heard.payload == _SPOOF:
                yield f"can publish the {heard.topic.rpartition('/')[2]} of another"

    def _listening(self) -> Iterator[str]:
        self._answered(self._spoofer, self._spoofer.subscribe(_LISTENING_IN))
        self._stay_in()
        device = self._spoofer
        self._answered(device, device.subscribe([f"{_OWN}/ack"]))
        self._ear.publish(f"{_OTHER}/ack", _SPOOF, qos=0)
        self._ear.publish(f"city/v1/dead-letter/native/{SELF_TEST_OTHER}", _SPOOF, qos=0)
        self._fence(self._ear)
        self._ear.publish(f"{_OWN}/ack", _ONLINE, qos=0)
        self._until(
            lambda: any(heard.topic == f"{_OWN}/ack" for heard in device.heard),
            "the gateway's word to self-test-a",
        )
        for heard in device.heard:
            if heard.topic != f"{_OWN}/ack":
                yield f"can listen in on {heard.topic}"

    def _dying(self) -> Iterator[str]:
        """The last will on another's topic; its own, after that, shows that wills are heard."""
        before = len(self._ear.heard)
        self._die_with_will(f"{_OTHER}/status")
        own = _Heard(f"{_OWN}/status", _GONE, retained=False)
        if self._die_with_will(own.topic):
            self._until(lambda: own in self._ear.heard[before:], "the will of self-test-a")
        if any(heard.topic.startswith(_OTHER) for heard in self._ear.heard[before:]):
            yield "can speak for another by its will"

    def _die_with_will(self, topic: str) -> bool:
        """False: the broker would not have it with that will."""
        dying = self._enter(self._device, f"self-test-will-{secrets.token_hex(8)}", topic)
        self._until(lambda: dying.connected is not None, "an answer to a client with a will")
        let_in = bool(dying.connected)
        dying.die()
        return let_in

    def _left_behind(self) -> Iterator[str]:
        fresh = self._listener()
        self._fence(fresh)
        for heard in fresh.heard:
            if heard.retained and heard.topic.startswith(_OTHER):
                self._answered(self._spoofer, self._spoofer.publish(heard.topic, b"", retain=True))
                yield f"can leave a retained {heard.topic.rpartition('/')[2]} of another"
