"""Rules reloaded under a running gateway: real processes, good and broken bundles, kill -9."""

import json
import signal
import subprocess
from datetime import UTC, datetime

import pytest
from conftest import SENSE311, a_bin

pytestmark = pytest.mark.slow

T0 = 1_768_453_200
BINS = [a_bin(1), a_bin(2), a_bin(3)]
SLOW_BIN = """\
apiVersion: sense311/v1
sensor: bin
owner: tests
params:
  high: {default: 80%, range: [50%, 95%]}

rules:
  - id: slow_bin        # full for an hour
    title: "Bin {asset.id} is full"
    when: fill > high
    for: 60min
    cover: {max_gap: 2h}
    clear: {when: fill < 50%}
    identity: [asset.id]
    lateness: 0min
    file:
      service: BIN_FULL
      description: "Bin {asset.id} is at {fill:.0f}"
"""
RULES = '[rules]\nlibrary = false\nfiles = ["ours.yaml"]'


def at(minute):
    return datetime.fromtimestamp(T0 + 60 * minute, UTC).isoformat().replace("+00:00", "Z")


def report(client, minute, *fills):
    """Each bin says how full it is."""
    for number, fill in enumerate(fills, 1):
        body = {"ts": at(minute), "boot": 1, "seq": minute, "values": {"fill_pct": fill}}
        client.say(f"city/v1/z/bin/bin-{number}/telemetry", body)


def rules_command(gateway, *words, code=0, config=True):
    """A `sense311 rules` command with --json; its answer."""
    command = [*SENSE311, "rules", *words, "--json"]
    command += ["-c", str(gateway.config)] if config else []
    done = subprocess.run(command, capture_output=True, timeout=90, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


class Scene:
    """A gateway under one rule of ours, and its bins."""

    def __init__(self, broker, desk, a_gateway, wait_for):
        self.gateway = a_gateway(broker, desk=desk, assets=BINS, more=RULES)
        self.file = self.gateway.folder / "ours.yaml"
        self.file.write_text(SLOW_BIN)
        self.desk, self.wait_for = desk, wait_for
        self.gateway.start()
        self.client = broker.login()
        self.reported = 0

    def report(self, minute, *fills):
        report(self.client, minute, *fills)
        self.reported += len(fills)
        self.wait_for(lambda: self.gateway.count("readings") == self.reported, "all is stored")

    def write(self, *changes, text=SLOW_BIN):
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.file.write_text(text)

    def reload(self, code=0):
        return rules_command(self.gateway, "reload", code=code)

    def filed(self):
        return [row["description"] for row in self.desk.filed()]

    def incidents(self):
        return self.gateway.query("SELECT subject, state FROM incidents ORDER BY id")


@pytest.fixture
def scene(bundled_broker, desk, a_gateway, wait_for):
    return Scene(bundled_broker, desk, a_gateway, wait_for)


def test_a_timer_in_progress_outlives_good_and_broken_reloads_and_kill_9(scene):
    """Full since minute 0, an hour to go: other words, a broken file, a crash; it fires at 60."""
    scene.report(0, 90, 20, 20)
    scene.report(30, 90, 20, 20)

    scene.write(("Bin {asset.id} is at", "The bin {asset.id} is at"))
    good = scene.reload()
    assert (good["ok"], good["reload"]["result"]) == (True, "loaded")

    scene.write(("fill > high", "fil > high"))
    broken = scene.reload(code=1)
    (finding,) = broken["reload"]["findings"]
    assert (finding["line"], finding["column"], finding["code"]) == (10, 11, "E101")
    assert broken["rules"] == good["rules"]
    status = scene.gateway.status()
    assert status["state"] == "amber"
    assert "stay in force" in status["problem"]

    scene.gateway.kill()
    scene.gateway.start(until="amber")  # the file is still broken
    assert scene.gateway.status()["rules"]["version"] == good["rules"]["version"]

    scene.report(59, 90, 20, 20)
    assert scene.incidents() == []
    scene.report(61, 90, 20, 20)
    scene.wait_for(scene.filed, "the fault is filed")
    assert len(scene.filed()) == 1
    assert "The bin B-1 is at 90" in scene.filed()[0]  # the words of the good bundle
    assert scene.gateway.query("SELECT started_ms, fired_ms FROM incidents") == [
        (T0 * 1000, (T0 + 3600) * 1000)
    ]

    scene.write()
    assert scene.reload()["reload"]["result"] == "loaded"
    scene.wait_for(lambda: scene.gateway.status()["state"] == "green", "all is well")


def test_another_condition_begins_again_and_an_open_episode_goes_on(scene):
    """The plan says so before, with the numbers; no episode is filed twice."""
    scene.report(0, 90, 20, 20)
    scene.report(61, 90, 90, 20)  # bin 1 fires; bin 2 is pending
    scene.wait_for(lambda: len(scene.filed()) == 1, "the first is filed")
    scene.write(("default: 80%", "default: 85%"))

    planned = rules_command(scene.gateway, "reload", "--plan")

    (change,) = planned["changes"]
    assert (change["rule"], change["state"]) == ("slow_bin", "reset")
    assert {"key": "params.high", "before": "80%", "after": "85%"} in change["parts"]
    assert (change["pending"], change["firing"]) == (1, 1)
    assert change["open_incidents"] == {"queued": 1}
    assert scene.reload()["reload"]["result"] == "loaded"
    assert rules_command(scene.gateway, "reload", "--plan")["changes"] == []

    scene.report(110, 90, 90, 20)  # bin 2 would have fired at 121 under the old rule
    scene.report(130, 90, 90, 20)
    assert scene.incidents() == [("B-1", "queued")]
    scene.report(175, 90, 90, 20)
    scene.wait_for(lambda: len(scene.filed()) == 2, "the second is filed, an hour after the reload")
    assert scene.incidents() == [("B-1", "queued"), ("B-2", "queued")]


def test_a_rule_in_shadow_files_nothing_until_it_is_promoted(scene):
    """Two episodes in shadow, one of them over: promoted, the one that stands is filed, once."""
    done = rules_command(scene.gateway, "shadow", "slow_bin", str(scene.file), config=False)
    assert done["changed"]
    assert scene.file.read_text() == SLOW_BIN.replace("hour\n", "hour\n    mode: shadow\n")
    assert scene.reload()["rules"]["shadow"] == ["slow_bin"]
    scene.report(0, 90, 90, 20)
    scene.report(61, 90, 90, 20)
    scene.report(120, 20, 90, 20)
    scene.report(130, 20, 90, 20)
    assert scene.incidents() == [("B-1", "shadow"), ("B-2", "shadow")]
    assert scene.gateway.count("unfiled") == 2
    assert scene.filed() == []

    promoted = rules_command(scene.gateway, "promote", "slow_bin", str(scene.file))
    assert promoted["shadow_filings"] == [{"week": "2026-01-12", "filings": 2, "open": 1}]
    assert scene.reload()["rules"]["shadow"] == []
    scene.report(140, 20, 90, 20)

    scene.wait_for(scene.filed, "the one that stands is filed")
    assert len(scene.filed()) == 1
    assert "B-2" in scene.filed()[0]
    scene.reload()
    scene.report(150, 20, 90, 20)
    assert scene.gateway.count("outbox") == 1


def test_sighup_reloads_too(scene):
    """As `systemctl reload` does."""
    scene.write(("default: 80%", "default: 85%"))
    scene.gateway.process.send_signal(signal.SIGHUP)
    scene.wait_for(lambda: scene.gateway.status()["reload"]["result"] == "loaded", "it is taken up")
    assert scene.gateway.stop() == 0


def test_without_a_gateway_reload_says_so_and_leaves_nothing_behind(scene):
    """Exit code 3, and no request that a later gateway would stumble over."""
    scene.gateway.stop()
    answer = rules_command(scene.gateway, "reload", code=3)
    assert "not running" in answer["error"]
    assert list(scene.gateway.data.glob("reload-*")) == []
