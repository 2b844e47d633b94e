"""What operators' tools are given fits what the gateway tells: metrics, alerts, dashboard, health.

A real gateway on a real broker is scraped through the real routes; promtool judges the exposition
and the rules; every metric and label that a rule or a panel names is one that the gateway tells.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from conftest import a_bin
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from gateway.books.tally import figures_of
from gateway.cityhall.delivery import State
from gateway.cli.service import _status_lines
from gateway.field.device_status import DeviceState
from gateway.views.books import Books
from gateway.watch.metrics import exposition
from gateway.watch.status import FILE_BYTES
from gateway.web.vitals import routes

ROOT = Path(__file__).resolve().parent.parent
ALERTS = ROOT / "deploy/prometheus/sense311.rules.yml"
DASHBOARD = ROOT / "deploy/grafana/sense311.json"
PROMTOOL = shutil.which("promtool")
HISTORY = {"history_up", "history_lag_readings", "history_points_total",
           "history_points_dropped_total"}  # fmt: skip
"""Told only where there is a history."""
T0 = 1_768_453_200_000


def promtool(*words, **options):
    """Its output; it has no objection."""
    if PROMTOOL is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    done = subprocess.run([PROMTOOL, *words], capture_output=True, check=False, **options)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


@pytest.fixture
def scene(bundled_broker, desk, a_gateway, wait_for):
    """A gateway that has taken readings, refused two messages and filed one request."""
    gateway = a_gateway(bundled_broker, desk=desk, assets=[a_bin(1), a_bin(2), a_bin(3)]).start()
    client = bundled_broker.login()
    for nth in range(6):
        for number, fill in ((1, 92), (2, 20), (3, 20)):
            body = {"ts": at(10 * nth), "boot": 1, "seq": nth, "values": {"fill_pct": fill}}
            client.say(f"city/v1/z/bin/bin-{number}/telemetry", body)
    client.say("city/v1/z/bin/bin-1/telemetry", b"{", {"ts": at(1), "values": {"fill": 1}})
    wait_for(lambda: gateway.query("SELECT state FROM outbox") == [("filed",)], "it is filed")
    wait_for(lambda: gateway.status()["refusals"] == 2, "they are counted")
    return gateway


def at(minute):
    return f"2026-01-15T{5 + minute // 60:02}:{minute % 60:02}:00Z"


@pytest.fixture
def client_of(wait_for):
    """Asks over HTTP what watchdogs ask, of a gateway's folder."""
    begun = []

    def make(gateway):
        app = Starlette(routes=routes(Books(gateway.config)))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        begun.append((server, thread))
        wait_for(lambda: server.started, "it listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        begun.append((httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False), None))
        return begun[-1][0]

    yield make
    for part, thread in reversed(begun):
        if thread is None:
            part.close()
        else:
            part.should_exit = True
            thread.join()


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def series_of(text):
    """{name as it is asked for: the labels that it has}"""
    return {
        sample.name: set(sample.labels)
        for family in families(text).values()
        for sample in family.samples
    }


def value(text, name, **labels):
    [found] = [
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == f"sense311_{name}" and sample.labels == labels
    ]
    return found


# -- the running gateway --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_running_gateway_is_told_as_it_is(scene, client_of, wait_for):
    """promtool has no objection, and the figures are those of what was sent."""
    client = client_of(scene)
    wait_for(
        lambda: 'sense311_incidents_fired_total{rule="bin_full"} 1' in client.get("/metrics").text,
        "it is counted",
    )
    answer = client.get("/metrics")

    assert promtool("check", "metrics", input=answer.content) == ""
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = answer.text
    expected = {
        "up": 1, "broker_connected": 1, "messages_total": 20, "store_readable": 1, "devices": 3,
        "disk_full": 0, "filing_stopped": 0, "rules_reload_failed": 0, "batch_seconds_count": None,
    }  # fmt: skip
    found = {name: value(told, name) for name in expected}
    assert found | {"batch_seconds_count": None} == expected
    assert 1 <= found["batch_seconds_count"] == value(told, "commit_seconds_count") <= 20
    assert 0 < value(told, "commit_seconds_sum") <= value(told, "batch_seconds_sum")
    assert value(told, "readings_total", kind="bin") == 18
    assert value(told, "refusals_total", reason="not_json") == 1
    assert value(told, "refusals_total", reason="unknown_key") == 1
    assert value(told, "requests", state="filed") == 1
    stand = {state: value(told, "fleet_devices", standing=str(state)) for state in DeviceState}
    assert (sum(stand.values()), stand[DeviceState.ONLINE]) == (3, 3)
    assert value(told, "desk_up", desk="city") == 1


@pytest.mark.slow
def test_every_metric_of_rules_and_dashboard_is_told(scene, client_of):
    """By its name, with the labels that are asked of it; and no panel or alert asks of nothing."""
    status = scene.status()
    status["figures"]["history"] = {"up": True, "written": 1, "dropped": 0}
    counted = figures_of(scene.data / "sense311.db")._replace(open={("bin_full", "queued"): 1})
    standings = dict.fromkeys(map(str, DeviceState), 1)
    told = exposition(status, counted, status["at_ms"], standings).decode()
    series = {name: labels | {"instance", "job"} for name, labels in series_of(told).items()}

    missing = [
        (where, name, labels)
        for where, expression, legend in expressions()
        for name, labels in asked(expression, legend)
        if not labels <= series.get(name, {"no such metric"})
    ]

    assert missing == []
    plain = series_of(client_of(scene).get("/metrics").text).keys()
    only_with_history = {f"sense311_{name}" for name in HISTORY}
    assert series.keys() - plain - {"sense311_incidents"} == only_with_history


@pytest.mark.slow
def test_health_and_readiness_follow_the_gateway(scene, client_of, wait_for, bundled_broker):
    """Ready while it takes messages; alive without the broker; dead when it has ended."""
    client = client_of(scene)
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "reasons": []})
        assert answer.headers["cache-control"] == "no-store"

    bundled_broker.close()
    wait_for(lambda: client.get("/readyz").status_code == 503, "it is not ready")
    assert client.get("/readyz").json() == {"ok": False, "reasons": ["broker_disconnected"]}
    assert client.get("/healthz").status_code == 200

    scene.stop()
    assert client.get("/healthz").json() == {"ok": False, "reasons": ["stopped"]}
    assert "sense311_up 0.0" in client.get("/metrics").text
    assert client.post("/healthz").status_code == 405


@pytest.mark.slow
def test_a_gateway_that_never_ran_is_told_so(a_gateway, bundled_broker, client_of):
    """Each answers, with nothing to read."""
    client = client_of(a_gateway(bundled_broker))
    assert client.get("/healthz").json() == {"ok": False, "reasons": ["never_ran"]}
    assert client.get("/readyz").status_code == 503
    assert promtool("check", "metrics", input=client.get("/metrics").content) == ""


@pytest.mark.slow
def test_a_store_that_cannot_be_read_is_told(scene, client_of):
    """The gateway is killed and its file spoilt: no answer fails."""
    scene.kill()
    (scene.data / "sense311.db").write_bytes(b"rubbish " * 1000)
    for path in scene.data.glob("sense311.db-*"):
        path.unlink()
    client = client_of(scene)
    assert client.get("/healthz").status_code == 503
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert value(answer.text, "store_readable") == 0


@pytest.mark.slow
def test_the_status_keeps_its_size_and_people_see_no_figures(scene):
    """What is padded to be rewritten on a full disk must fit; `status` prints lines for people."""
    text = (scene.data / "status.json").read_bytes()
    assert len(text) == FILE_BYTES
    assert len(text.rstrip()) < FILE_BYTES / 4
    lines = list(_status_lines(json.loads(text)))
    assert [line for line in lines if "bounds_s" in line or "figures" in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_of_a_run(form, a_gateway, bundled_broker):
    """Every line of standard error is in the form that the configuration asks for."""
    gateway = a_gateway(bundled_broker, more=f'[logs]\nformat = "{form}"').start()
    assert gateway.stop(signal.SIGTERM) == 0

    lines = gateway.log.read_text().splitlines()
    if form == "json":
        codes = [json.loads(line)["reason"] for line in lines]
    else:
        said = re.compile(r"\S+Z (?:INFO|WARNING|ERROR) \w+: .* \[(\w+)\]")
        codes = [said.fullmatch(line)[1] for line in lines]
    assert codes[0] == "started"
    assert "broker_connected" in codes
    assert codes[-1] == "stopped"


# -- what stands in deploy/ -----------------------------------------------------------------------


def expressions():
    """(where, PromQL, legend) of each alert and each panel."""
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"], ""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def asked(expression, legend=""):
    """(metric, labels that it must have) of each metric that an expression names: those that it is
    chosen by, those that the sum around it is by, and those of the legend.
    """
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    grouped = {}
    for found in re.finditer(r"\b(?:by|without)\s*\(([^)]*)\)\s*\(", expression):
        labels = set(re.findall(r"\w+", found[1])) - {"le"}
        for name in re.findall(r"\bsense311_\w+", within(expression[found.end() :])):
            grouped.setdefault(name, set()).update(labels)
    for name, matchers in re.findall(r"\b(sense311_\w+)(?:\{([^}]*)\})?", expression):
        labels = set(re.findall(r"(\w+)\s*(?:=|!)", matchers))
        yield name, labels | grouped.get(name, set()) | shown


def within(text):
    """Up to the bracket that closes."""
    depth = 1
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[:at]
    raise AssertionError(f"no end: {text}")


def test_the_expressions_are_read_as_they_are():
    """The reading of PromQL above finds names, matchers, groupings and the legend."""
    text = 'sum by (rule) (rate(sense311_a_total{x=~"$x", y!="1"}[5m])) / sense311_b'
    assert list(asked(text)) == [
        ("sense311_a_total", {"rule", "x", "y"}),
        ("sense311_b", set()),
    ]
    assert list(asked("sense311_b", "in {{state}}")) == [("sense311_b", {"state"})]


def test_no_state_is_asked_for_that_there_is_not():
    """A word that is mistaken would never match, and nobody would see it."""
    words = [
        word
        for _, expression, _ in expressions()
        for choice in re.findall(r'\bstate(?:=|!=|=~|!~)"([^"]*)"', expression)
        for word in choice.split("|")
    ]
    assert "review" in words
    assert set(words) <= set(map(str, State))
    standings = [
        word
        for _, expression, _ in expressions()
        for word in re.findall(r'\bstanding="([^"]*)"', expression)
    ]
    assert "silent" in standings
    assert set(standings) <= set(map(str, DeviceState))


@pytest.mark.parametrize(
    "words", [("check", "rules"), ("check", "config"), ("test", "rules")], ids=" ".join
)
def test_promtool_accepts_what_is_deployed(words):
    """Rules and configuration are valid, and each alert fires when it should and not before."""
    file = {
        ("check", "rules"): "sense311.rules.yml",
        ("check", "config"): "prometheus.yml",
        ("test", "rules"): "sense311.rules.test.yml",
    }[words]
    assert "SUCCESS" in promtool(*words, file, cwd=ALERTS.parent)


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    """And has a test that makes it fire."""
    rules = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"][0]["rules"]
    tests = (ALERTS.parent / "sense311.rules.test.yml").read_text("utf-8")
    fired = set(re.findall(r"labels: 'ALERTS\{alertname=\"(\w+)\"", tests))

    assert {rule["alert"] for rule in rules} == fired
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert len(rule["annotations"]["summary"]) < 100
        assert len(rule["annotations"]["description"]) > 60


def test_the_dashboard_asks_the_chosen_source_only():
    """Every panel goes by the variable; ids are unique; no two panels overlap."""
    board = json.loads(DASHBOARD.read_text("utf-8"))
    panels, taken = board["panels"], set()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for part in [panel, *panel.get("targets", ())]:
            source = part.get("datasource", {"uid": "${datasource}"})
            assert source["uid"] == "${datasource}", panel["title"]
        place = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not squares & taken, panel["title"]
        assert max(x for x, _ in squares) < 24
        taken |= squares


def test_what_grafana_is_provisioned_with_fits_together():
    """The data source is one of the dashboard's kind, and the dashboard's folder is named."""
    folder = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/sense311.yml").read_text())["providers"]
    variables = json.loads(DASHBOARD.read_text("utf-8"))["templating"]["list"]
    assert source["type"] == next(v["query"] for v in variables if v["type"] == "datasource")
    assert provider["options"]["path"].startswith("/var/lib/grafana/")
