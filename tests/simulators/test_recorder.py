"""The recorder against real brokers: everything is in the file, and what is missing is told."""

import asyncio
import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import SENSE311, running, wait_until

from simulators.publisher import play
from simulators.recorder import Gap, Recorder, address_of
from simulators.recording import RecordingError, Tape, read_recording, write_recording
from simulators.uplink import Login, LoginRefusedError
from simulators.wire import Message

pytestmark = pytest.mark.slow
PATIENT_S = 30.0
TELEMETRY, STATUS = "city/v1/n/bin/b{}/telemetry", "city/v1/n/bin/b{}/status"


def url_of(broker) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def gateway_of(broker) -> Login:
    found = json.loads(broker.credentials.read_text())["gateway"]
    return Login(found["user"], found["password"])


def recorded(path: Path) -> list[Message]:
    return list(read_recording(path)) if path.exists() else []


def contents(messages) -> Counter:
    return Counter((m.topic, m.payload, m.qos, m.retain) for m in messages)


async def until(condition, what: str) -> None:
    deadline_s = time.monotonic() + PATIENT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never: {what}"
        await asyncio.sleep(0.02)


async def while_recording(path: Path, url: str, action, *given, **more) -> Recorder:
    """The action, with a recorder at work; then it is stopped."""
    with Tape(path) as tape:
        recorder = Recorder(url, tape, *given, **more)
        task = asyncio.create_task(recorder.run())
        try:
            await action(recorder)
        finally:
            recorder.stop()
            await task
        return recorder


def all_sorts(count: int = 5) -> list[Message]:
    """Every quality of service, retained or not, JSON and bytes."""
    return [
        Message(1_000 * n, TELEMETRY.format(n), payload, n % 3, n % 2 == 1)
        for n, payload in enumerate([b'{"x":1}', b"\xff\x00", b"", b"[1,2]", b'"a"'][:count])
        if payload or n % 2 == 0  # an empty retained one only deletes
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_record_replay_record_gives_the_same_messages(tmp_path, mosquitto, name):
    """Topic, bytes, quality of service and retained flag, through a real broker twice."""
    first, second = tmp_path / f"first-{name}", tmp_path / f"second-{name}"
    sent = all_sorts()
    url = url_of(mosquitto)

    async def through(source: list[Message], path: Path) -> None:
        async def action(recorder: Recorder) -> None:
            await until(lambda: recorder.hears, "it hears")
            await play(iter(source), url)
            await until(lambda: recorder.recorded.messages >= len(source), "all is recorded")

        await while_recording(path, url, action, ["city/v1/#"])

    asyncio.run(through(sent, first))
    assert contents(recorded(first)) == contents(sent)
    mosquitto.forget()  # what lies retained is not the second recording's
    asyncio.run(through(recorded(first), second))
    assert contents(recorded(second)) == contents(sent)


def test_the_bundled_broker_is_recorded_by_the_user_of_the_gateway(tmp_path, bundled_broker):
    """It speaks no MQTT 5: what lay there is told retained, what comes is not."""
    publisher = bundled_broker.login()
    publisher.say(STATUS.format(1), {"online": True}, retain=True)
    path = tmp_path / "a.jsonl.gz"

    async def action(recorder: Recorder) -> None:
        await until(lambda: recorder.recorded.messages == 1, "what lies there")
        for qos in (0, 1, 2):
            publisher.publish(TELEMETRY.format(1), {"seq": qos}, qos=qos)
        publisher.publish(STATUS.format(1), {"online": False}, retain=True)
        await until(lambda: recorder.recorded.messages == 5, "all five")

    url, login = url_of(bundled_broker), gateway_of(bundled_broker)
    recorder = asyncio.run(while_recording(path, url, action, login=login))
    found = recorded(path)
    assert recorder.recorded.flags_whole is False
    assert (found[0].topic, found[0].retain) == (STATUS.format(1), True)
    qualities = {json.loads(m.payload)["seq"]: m.qos for m in found if m.leaf == "telemetry"}
    assert qualities == {0: 0, 1: 1, 2: 2}


def test_a_broker_that_goes_and_comes_back_leaves_a_gap_that_is_told(tmp_path, mosquitto):
    """What lies retained is not recorded a second time; what comes after is."""
    path, gaps = tmp_path / "a.jsonl", []
    publisher = mosquitto.login()
    publisher.say(STATUS.format(1), {"online": True}, retain=True)

    async def action(recorder: Recorder) -> None:
        await until(lambda: recorder.recorded.messages == 1, "what lies there")
        mosquitto.stop()
        await until(lambda: gaps, "the gap is told")
        mosquitto.start()
        await until(lambda: len(gaps) == 2, "its end is told")
        await until(lambda: recorder.recorded.repeated == 1, "what lies there comes again")
        await asyncio.to_thread(wait_until, publisher.client.is_connected, "a publisher")
        publisher.publish(TELEMETRY.format(1), {"seq": 1})
        await until(lambda: recorder.recorded.messages == 2, "what comes after")

    given = {"on_gap": gaps.append}
    told = asyncio.run(while_recording(path, url_of(mosquitto), action, **given)).recorded
    assert [gap.until_ms is None for gap in gaps] == [True, False]
    assert told.gaps == [Gap(gaps[0].since_ms, gaps[1].until_ms)]
    assert gaps[1].until_ms >= gaps[0].since_ms
    assert [m.leaf for m in recorded(path)] == ["status", "telemetry"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_kill_costs_at_most_the_last_second(tmp_path, mosquitto, name):
    """The file reads to its end, and holds what came more than a second before."""
    path = tmp_path / name
    command = [*SENSE311, "sim", "record", url_of(mosquitto), "--out", str(path)]
    publisher = mosquitto.login()
    with running(command, tmp_path / "log", stdout=subprocess.DEVNULL) as process:
        publisher.say(STATUS.format(0), {"online": True}, retain=True)
        wait_until(lambda: recorded(path), "the first message is in the file")
        sent: list[tuple[float, int]] = []
        for seq in range(60):
            publisher.say(TELEMETRY.format(1), {"seq": seq})
            sent.append((time.monotonic(), seq))
            time.sleep(0.05)
        killed_s = time.monotonic()
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    found = [json.loads(m.payload)["seq"] for m in recorded(path) if m.leaf == "telemetry"]
    assert found == list(range(len(found)))
    assert set(found) >= {seq for at_s, seq in sent if at_s < killed_s - 1.3}


def test_a_user_who_may_not_listen_is_told_so(tmp_path, bundled_broker):
    """And one who may not enter."""
    asked = (["#"], gateway_of(bundled_broker), "--topic"), (["a"], Login("x", "y"), "broker says")
    for number, (filters, login, words) in enumerate(asked):
        path = tmp_path / f"{number}.jsonl"
        with pytest.raises(LoginRefusedError, match=words):
            listen(path, url_of(bundled_broker), filters, login)


def listen(path: Path, url: str, *given) -> None:
    """For as long as it can."""
    with Tape(path) as tape:
        asyncio.run(_listen(url, tape, *given))


async def _listen(url: str, tape: Tape, *given) -> None:
    await Recorder(url, tape, *given).run()


def test_no_broker_at_all_is_an_error_at_once(tmp_path):
    """Not a recording of nothing."""
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1"):
        listen(tmp_path / "a.jsonl", "mqtt://127.0.0.1:1", ["a"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [("mqtt://h", ("h", 1883, False)), ("mqtts://h", ("h", 8883, True)),
     ("mqtts://h:1", ("h", 1, True))],
)  # fmt: skip
def test_addresses_have_the_usual_ports(url, expected):
    """With and without TLS."""
    assert tuple(address_of(url)) == expected


@pytest.mark.parametrize("url", ["http://h", "h:1883", "", "mqtt://"])
def test_what_is_no_address_is_refused(url):
    """With what one looks like."""
    with pytest.raises(ValueError, match="mqtt://"):
        address_of(url)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_tape_holds_what_was_flushed_and_never_turns_back(tmp_path, name):
    """A clock that is set back costs no order; a file that is there is not touched."""
    tape = Tape(tmp_path / name)
    for t_ms in (5_000, 3_000, 6_000):
        tape.write(Message(t_ms, "a", b"1"))
        tape.flush()
    tape.write(Message(7_000, "a", b"2"))
    assert [m.t_ms for m in recorded(tmp_path / name)] == [5_000, 5_000, 6_000]
    tape.close()
    assert len(recorded(tmp_path / name)) == 4
    with pytest.raises(FileExistsError):
        Tape(tmp_path / name)


def test_a_recording_cut_short_by_others_is_still_refused(tmp_path):
    """A half-copied file is not taken for a whole one."""
    path = tmp_path / "a.jsonl.gz"
    write_recording(path, [Message(n, "a", b"1") for n in range(100)])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordingError):
        recorded(path)
