"""The MQTT session against real brokers: what is acknowledged, what comes again, what is told."""

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest

from gateway import broker
from gateway.broker import Session
from gateway.broker_settings import BrokerSettings, tls_context

TOPIC = "city/v1/z/bin/bin-1/telemetry"
pytestmark = pytest.mark.slow


@pytest.fixture
def a_session(wait_for):
    """Makes a started session with a broker; by default waits until it is ready."""
    made = []

    def make(at, *, ready=True, known=False, **changes):
        url = at if isinstance(at, str) else f"mqtt://127.0.0.1:{at.port}"
        made.append(Session(BrokerSettings(url, **changes), known=known))
        made[-1].start()
        if ready:
            wait_for(lambda: made[-1].is_ready, "the session is ready")
        return made[-1]

    yield make
    for session in made:
        session.stop()


def take(session, count):
    """So many messages, not acknowledged."""
    taken = []
    for _ in range(200):
        taken += session.take(1000, 0.1)
        if len(taken) >= count:
            return taken
    raise AssertionError(f"{len(taken)} of {count} messages came")


def bodies(deliveries):
    return [delivery.incoming.payload for delivery in deliveries]


def cut(session):
    """The connection breaks, as a network does it."""
    session._client.line._sock.shutdown(socket.SHUT_RDWR)


def reconnected(session, line, wait_for):
    wait_for(lambda: session.is_ready and session._client.line is not line, "a new connection")


# -- acknowledgements -------------------------------------------------------------------------


def test_what_is_not_acknowledged_comes_again(mosquitto, a_session):
    """Five taken, two acknowledged: the other three come to the next session of that name."""
    first = a_session(mosquitto)
    mosquitto.login().say(TOPIC, b"0", b"1", b"2", b"3", b"4")
    first.ack(take(first, 5)[:2])
    first.stop()
    second = a_session(mosquitto)
    again = take(second, 3)
    assert bodies(again) == [b"2", b"3", b"4"]
    second.ack(again)
    second.stop()
    assert a_session(mosquitto).take(10, 0.5) == []


def test_a_late_acknowledgement_does_not_reach_the_next_connection(mosquitto, a_session, wait_for):
    """The same packet ids are in use again: only an acknowledgement of this connection counts."""
    session = a_session(mosquitto)
    mosquitto.login().say(TOPIC, b"0", b"1", b"2")
    old, line = take(session, 3), session._client.line
    cut(session)
    reconnected(session, line, wait_for)
    new = take(session, 3)
    assert [d.mid for d in new] == [d.mid for d in old], "else this test shows nothing"
    session.ack(old)
    session.stop()

    third = a_session(mosquitto)
    assert bodies(take(third, 3)) == [b"0", b"1", b"2"]


def test_a_late_acknowledgement_does_not_hit_another_message(mosquitto, a_session, wait_for):
    """The broker has forgotten us and counts from one: the new message is not taken for the old."""
    session = a_session(mosquitto)
    mosquitto.login().say(TOPIC, b"old")
    old, line = take(session, 1), session._client.line
    mosquitto.forget()
    reconnected(session, line, wait_for)
    mosquitto.login().say(TOPIC, b"new")
    new = take(session, 1)
    assert (new[0].mid, bodies(new)) == (old[0].mid, [b"new"]), "else this test shows nothing"
    session.ack(old)
    session.stop()

    assert bodies(take(a_session(mosquitto), 1)) == [b"new"]


def test_nothing_is_lost_or_twice_when_more_comes_than_fits(
    mosquitto, a_session, wait_for, monkeypatch
):
    """The socket is left unread while the queue is full; every message comes once, in order."""
    monkeypatch.setattr(broker, "WAITING_MAX", 10)
    monkeypatch.setattr(broker, "BURST_MAX", 5)
    session = a_session(mosquitto)
    client = mosquitto.login()
    sent = [str(n).encode() for n in range(600)]
    last = [client.publish(TOPIC, body) for body in sent][-1]
    wait_for(lambda: len(session._waiting) >= 10, "the queue is full")
    assert len(session._waiting) < 20
    got = []
    while len(got) < len(sent):
        batch = take(session, 1)
        session.ack(batch)
        got += bodies(batch)
    last.wait_for_publish(20)
    assert got == sent


def test_a_full_queue_can_be_left_and_all_of_it_comes_again(
    mosquitto, a_session, wait_for, monkeypatch
):
    """Pausing does not wait for room, acknowledges nothing, and resuming gets everything."""
    monkeypatch.setattr(broker, "WAITING_MAX", 10)
    session = a_session(mosquitto)
    sent = [str(n).encode() for n in range(100)]
    mosquitto.login().say(TOPIC, *sent)
    wait_for(lambda: len(session._waiting) >= 10, "the queue is full")
    session.pause()
    assert (session.take(10, 0), session.is_ready) == ([], False)
    assert "the store cannot take anything" in session.problem
    session.resume()
    monkeypatch.setattr(broker, "WAITING_MAX", 1000)
    assert bodies(take(session, 100)) == sent


# -- connections ------------------------------------------------------------------------------


def test_a_broker_that_is_not_there_yet_is_waited_for(start_mosquitto, a_session, wait_for):
    """The first connection fails, and is tried again until it succeeds."""
    place = start_mosquitto()
    place.stop()
    session = a_session(place, ready=False)
    wait_for(lambda: "cannot reach" in session.problem, "the failure is told")
    place.start()
    wait_for(lambda: session.is_ready, "it connects")
    assert session.problem == ""


def test_a_session_that_the_broker_lost_is_counted_and_subscribed_anew(
    mosquitto, a_session, wait_for
):
    """A new installation has lost nothing; one that was known, or connected before, has."""
    session = a_session(mosquitto)
    assert session.sessions_lost == 0
    line = session._client.line
    mosquitto.forget()
    reconnected(session, line, wait_for)
    assert session.sessions_lost == 1
    mosquitto.login().say(TOPIC, b"after")
    assert bodies(take(session, 1)) == [b"after"]
    assert a_session(mosquitto, known=True, client_id="other").sessions_lost == 1


def test_a_subscription_that_is_refused_is_told(bundled_broker, a_session, wait_for):
    """Connected is not enough: without its rights it hears nothing, so it is not ready."""
    login = bundled_broker.credentials.read_text()
    password = login.partition('"lamp-a"')[2].partition('"password": "')[2].partition('"')[0]
    session = a_session(bundled_broker, ready=False, username="lamp-a", password=password)
    wait_for(lambda: "refused to subscribe" in session.problem, "the refusal is told")
    assert not session.is_ready
    assert "city/v1/+/+/+/telemetry" in session.problem


def test_a_refused_password_is_told_without_it(bundled_broker, a_session, wait_for):
    """The reason stays in view while it goes on trying."""
    session = a_session(
        bundled_broker, ready=False, username="gateway", password="canary-password-1"
    )
    wait_for(lambda: "refused the connection" in session.problem, "the refusal is told")
    assert "canary-password-1" not in session.problem + repr(session._settings)


def test_two_sessions_of_one_name_are_told_of_each_other(mosquitto, a_session, wait_for):
    """They do not fight at full speed, and the reason is suspected aloud."""
    said = []
    first, second = a_session(mosquitto), a_session(mosquitto)
    wait_for(
        lambda: said.append(first.problem + second.problem) or "another client" in said[-1],
        "the suspicion",
    )


@contextmanager
def answering(*answers):
    """A server that gives each connection these bytes and waits; how many connections came."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with suppress(OSError):
                while True:
                    wire, _ = listener.accept()
                    connections.append(wire)
                    wire.recv(1024)
                    for answer in answers:
                        wire.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for wire in connections:
            wire.close()


CONNACK = b"\x20\x02\x00\x00"
GARBAGE = {
    "another protocol": [b"HTTP/1.1 400 Bad Request\r\n" + b"Server: another\r\n" * 20],
    "a length without end": [CONNACK, b"\x30\xff\xff\xff\xff\xff"],
    "a topic longer than its packet": [CONNACK, b"\x30\x03\xff\xffx"],
    "a cut suback": [CONNACK, b"\x90\x01\x00"],
    "an empty publish": [CONNACK, b"\x32\x00"],
}


@pytest.mark.parametrize("answers", GARBAGE.values(), ids=GARBAGE)
def test_bytes_that_are_not_mqtt_end_the_connection_and_not_the_thread(
    answers, a_session, wait_for, monkeypatch
):
    """It says that something is wrong and tries again."""
    monkeypatch.setattr(broker, "RECONNECT_S_MIN", 0.05)
    with answering(*answers) as (port, connections):
        session = a_session(f"mqtt://127.0.0.1:{port}", ready=False)
        wait_for(lambda: len(connections) >= 2, "a second connection")
        assert session.problem
        assert not session.is_ready
        session.stop()


def test_a_network_thread_that_hangs_is_told_until_it_comes_round(
    mosquitto, a_session, wait_for, monkeypatch
):
    """Connected it still seems to be; a thread that was told to leave is none that hangs."""
    session, go_on = a_session(mosquitto), threading.Event()
    monkeypatch.setattr(broker, "STUCK_S", 2.0)
    monkeypatch.setattr(session._client, "loop_misc", lambda: go_on.wait(30))

    wait_for(lambda: session.is_stuck, "it is told")
    assert not session.is_ready
    assert "network thread" in session.problem
    go_on.set()
    wait_for(lambda: session.is_ready, "it came round")
    assert session.problem == ""
    session.pause()
    session._came_round_s -= 10
    assert not session.is_stuck


def test_a_reply_that_nobody_can_take_is_given_back(a_session, free_port, mosquitto):
    """It is never kept in memory for a broker that is not there; one that is there takes it."""
    nobody = a_session(f"mqtt://127.0.0.1:{free_port()}", ready=False)
    assert not nobody.publish("city/v1/z/bin/b/ack", b"{}")
    assert a_session(mosquitto).publish("city/v1/z/bin/b/ack", b"{}")


# -- TLS --------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate of 127.0.0.1, which is its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def make(name):
        key, cert = tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        subject = ["-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(key), "-out", str(cert)]
        subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)
        return cert, key

    return make


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of paho
def test_tls_works_and_trusts_only_the_named_authority(
    certificate, start_mosquitto, a_session, wait_for
):
    """Messages and acknowledgements go through; with another authority nothing does."""
    cert, key = certificate("server")
    other, _ = certificate("other")
    place = start_mosquitto(f"certfile {cert}", f"keyfile {key}", "allow_anonymous true")
    url = f"mqtts://127.0.0.1:{place.port}"
    stranger = a_session(url, ready=False, ca_file=other, client_id="stranger")
    wait_for(lambda: "certificate verify failed" in stranger.problem, "the refusal is told")

    session = a_session(url, ca_file=cert)
    sender = broker.Session(BrokerSettings(url, ca_file=cert, client_id="sender"))
    sender.start()
    wait_for(lambda: sender.is_ready, "the sender is ready")
    sent = [str(n).encode() * 100 for n in range(300)]
    for body in sent:
        sender._client.publish(TOPIC, body, qos=1)
    got = take(session, 300)
    session.ack(got)
    sender.stop()
    assert bodies(got) == sent
    session.stop()
    assert a_session(url, ca_file=cert).take(10, 0.3) == []


def test_old_tls_is_not_spoken():
    """1.2 is the least."""
    assert tls_context(None).minimum_version is ssl.TLSVersion.TLSv1_2
