"""The processes beside the gateway: kept alive, and never longer there than it is."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway import children
from gateway.children import Child, Children

pytestmark = pytest.mark.slow

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import time
from gateway.children import be_a_child
be_a_child()
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition, timeout_s=20.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_child_ends_when_its_parent_was_killed():
    """With -9: nothing could be said to it."""
    command = [sys.executable, "-c", PARENT.format(child=CHILD)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.5)
        assert alive(pid)
        parent.kill()
    eventually(lambda: not alive(pid))


def test_one_that_dies_is_started_again_and_all_end_with_the_gateway(monkeypatch):
    """Killed from outside, say for want of memory."""
    begun = []
    begin = children._begin

    def noted(child):
        begun.append(begin(child))
        return begun[-1]

    monkeypatch.setattr(children, "_begin", noted)
    minded = Children([Child("desk", ("desk", "--help"))])
    thread = threading.Thread(target=minded.run)
    thread.start()
    try:
        eventually(lambda: len(begun) >= 2)
    finally:
        minded.stop()
        thread.join(20)

    assert not thread.is_alive()
    assert not any(alive(process.pid) for process in begun)


def test_one_that_does_not_listen_is_killed(monkeypatch):
    """The gateway's own end is not held up."""
    monkeypatch.setattr(children, "STOP_S", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdin=subprocess.PIPE)
    time.sleep(0.5)
    began_s = time.monotonic()
    children._end(process)
    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - began_s < 10
    assert not alive(process.pid)
