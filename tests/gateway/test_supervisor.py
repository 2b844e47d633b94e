"""What systemd hears of the gateway, through a socket like its own."""

import socket
import threading
import time
from contextlib import closing

import pytest
from conftest import GatewayProcess, a_bin, write_city, write_config

from gateway import broker
from gateway.app import Gateway
from gateway.config import read_config
from gateway.plans import prepare
from gateway.watch.supervisor import STATUS_CHARS_MAX, Supervisor


@pytest.fixture
def manager(tmp_path):
    """The socket of a service manager, and its address."""
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(address)
        line.settimeout(30)
        yield line, address


def heard(line):
    """The next datagram, as names and values."""
    return dict(one.partition("=")[::2] for one in line.recv(4096).decode().splitlines())


def all_that_waits(line):
    """Without waiting for more."""
    line.setblocking(False)
    found = []
    try:
        while True:
            found.append(heard(line))
    except BlockingIOError:
        return found


@pytest.fixture
def configured(tmp_path):
    """A configuration whose broker is not there."""
    write_city(tmp_path / "assets.geojson", [a_bin(1)])
    return write_config(tmp_path)


def test_each_word_is_a_datagram_of_its_own(manager):
    """The status is one line, and not endless: another could be taken for a word of ours."""
    line, address = manager
    told = Supervisor({"NOTIFY_SOCKET": address})
    told.began()
    told.lives("red: cannot reach\nREADY=0\n" + 500 * "x")
    told.ends()

    first, second, third = all_that_waits(line)
    assert first == {"READY": "1"}
    assert second["WATCHDOG"] == "1"
    assert second["STATUS"].startswith("red: cannot reach READY=0 xxx")
    assert len(second["STATUS"]) == STATUS_CHARS_MAX
    assert third["STOPPING"] == "1"


def test_a_name_without_a_file_is_spoken_to_too(free_port):
    """systemd writes such an address with an @ in front."""
    name = f"sense311-{free_port()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(f"\0{name}")
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).began()
        assert all_that_waits(line) == [{"READY": "1"}]


def test_nobody_is_told_where_nobody_asks_and_a_deaf_manager_holds_nothing_up(manager):
    """Neither a socket that is gone nor one that is full is an error or a wait."""
    _, address = manager
    Supervisor({}).began()
    Supervisor({"NOTIFY_SOCKET": "/nowhere/at/all"}).began()
    deaf = Supervisor({"NOTIFY_SOCKET": address})
    for _ in range(5_000):  # far more than a socket holds
        deaf.lives("green")


@pytest.mark.slow
def test_the_gateway_says_that_it_has_begun_each_second_that_it_lives_and_that_it_ends(
    manager, configured, monkeypatch
):
    """A broker that is away is told as the status, and is no reason to end it."""
    line, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    gateway = GatewayProcess(configured.parent, configured).start(until="")
    try:
        assert heard(line) == {"READY": "1"}
        lives = [heard(line) for _ in range(4)]
        all_that_waits(line)
    finally:
        code = gateway.stop()

    assert code == 0
    assert {one["WATCHDOG"] for one in lives} == {"1"}
    assert "cannot reach mqtt://127.0.0.1:9" in lives[-1]["STATUS"]
    assert {"STOPPING": "1", "STATUS": "stopping"} in all_that_waits(line)


@pytest.mark.slow
def test_a_gateway_whose_network_thread_is_gone_lives_no_more(
    manager, configured, monkeypatch, wait_for
):
    """Its core still turns, and would take nothing for ever; the status says why."""
    line, address = manager
    monkeypatch.setattr(broker, "STUCK_S", 1.5)
    monkeypatch.setattr(broker.Session, "_network", lambda _: None)
    told = Supervisor({"NOTIFY_SOCKET": address})
    gateway = Gateway(prepare(*read_config(configured)), supervisor=told)
    thread = threading.Thread(target=gateway.run)
    thread.start()
    try:
        wait_for(lambda: "network thread" in gateway.status()["problem"], "it is told")
        began = all_that_waits(line)
        time.sleep(2.5)  # two more would have come
        assert all_that_waits(line) == []
    finally:
        gateway.stop()
        thread.join()
    assert [one for one in began if "WATCHDOG" in one]
