"""A gateway, a desk and a person: approved, stopped, silenced, closed, verified, looked at."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from conftest import CANARY_KEY, SENSE311, a_bin, a_free_port

pytestmark = pytest.mark.slow

T0 = datetime(2026, 1, 15, 18, tzinfo=UTC)
FULL, EMPTY = 92, 20


def say(client, number, fills, start_min):
    """One report every ten minutes."""
    for k, fill_pct in enumerate(fills):
        at = T0 + timedelta(minutes=start_min + 10 * k)
        body = {"ts": at.isoformat(), "boot": 1, "seq": start_min + k + 1,
                "values": {"fill_pct": fill_pct}}  # fmt: skip
        client.say(f"city/v1/z/bin/bin-{number}/telemetry", body)


def sense311(gateway, *words, code=0):
    done = subprocess.run(
        [*SENSE311, *words, "-c", str(gateway.config), "--json"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def states(gateway):
    return [row["state"] for row in sense311(gateway, "requests", "ls")["requests"]]


def close_at(desk, request_id, notes):
    bearer = {"Authorization": f"Bearer {CANARY_KEY}"}
    url = desk.url.removesuffix("/open311/v2")
    answer = httpx.post(f"{url}/desk/close/{request_id}", json={"notes": notes}, headers=bearer)
    answer.raise_for_status()


@pytest.fixture
def profile(tmp_path):
    """As the desk, followed every second, verified at once, told what is over."""
    path = tmp_path / "town.toml"
    path.write_text(
        'base = "desk"\ntitle = "Town"\nfollow_s = 1\nverify_s = 0\nupdates = true\n'
        "reopen = false\n"
    )
    return path


@pytest.fixture
def stage(bundled_broker, desk, a_gateway, profile):
    """A gateway with this profile: `more` is TOML for other sections."""

    def make(more=""):
        bins = [a_bin(1), a_bin(2), a_bin(3)]
        gateway = a_gateway(bundled_broker, desk=desk, assets=bins, more=more)
        text = gateway.config.read_text().replace("[city]\n", f'[city]\nprofile = "{profile}"\n')
        gateway.config.write_text(text)
        return gateway.start(), bundled_broker.login()

    return make


def test_what_the_city_closes_unrepaired_is_filed_again_and_what_is_over_is_told(
    stage, desk, wait_for
):
    """Closed with the bin still full: one more request, which names the first; then emptied."""
    gateway, client = stage()
    say(client, 1, [FULL] * 6, 0)
    wait_for(lambda: len(desk.filed()) == 1, "it is filed")
    first = desk.filed()[0]["service_request_id"]
    wait_for(lambda: states(gateway) == ["filed"], "its number is known")
    close_at(desk, first, "emptied")
    wait_for(
        lambda: gateway.query("SELECT 1 FROM orders WHERE state = 'done'"), "the city's word came"
    )
    say(client, 1, [FULL] * 4, 100)
    wait_for(lambda: len(desk.filed()) == 2, "it is filed again")
    assert f"{first}" in desk.filed()[1]["description"]
    say(client, 1, [EMPTY] * 6, 200)
    url = desk.url.removesuffix("/open311/v2") + "/open311/v2/servicerequestupdates.json"

    january = {"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-02-01T00:00:00Z"}

    def told():
        return [one["status"] for one in httpx.get(url, params=january).json()]

    wait_for(lambda: "FIXED" in told(), "the city is told that it is over")
    assert len(desk.filed()) == 2
    assert gateway.stop() == 0


def test_a_request_waits_for_approval_and_goes_out_when_it_has_it(stage, desk, wait_for):
    """The status is amber meanwhile, and says why."""
    gateway, client = stage('[filing]\nmode = "approve"\n')
    say(client, 1, [FULL] * 6, 0)
    say(client, 2, [FULL] * 6, 0)
    wait_for(lambda: states(gateway) == ["review"] * 2, "they wait")
    wait_for(lambda: gateway.status()["state"] == "amber", "it is said")
    assert "2 in review" in gateway.status()["problem"]
    rows = sense311(gateway, "requests", "ls", "--state", "review")["requests"]
    one = sense311(gateway, "requests", "approve", rows[0]["reference"], "--who", "ann")
    assert one == {"reference": rows[0]["reference"], "state": "ready"}
    wait_for(lambda: len(desk.filed()) == 1, "it is filed")
    sense311(gateway, "requests", "approve", "--all")
    wait_for(lambda: len(desk.filed()) == 2, "the other too")
    story = sense311(gateway, "requests", "show", rows[0]["reference"])
    entities = sense311(gateway, "requests", "export")["entities"]
    assert {entity["service_code"]["value"] for entity in entities} == {story["service"]}
    assert "approved" in [step["event"] for step in story["deliveries"]]
    sense311(gateway, "requests", "approve", rows[0]["reference"], code=1)
    assert gateway.stop() == 0


def test_all_filing_is_stopped_and_goes_on(stage, desk, wait_for):
    """From one moment to the next, while it runs."""
    gateway, client = stage()
    sense311(gateway, "requests", "stop", "--who", "ann", "--why", "a test")
    say(client, 1, [FULL] * 6, 0)
    wait_for(lambda: states(gateway) == ["ready"], "it is ready")
    wait_for(lambda: "ann" in gateway.status()["stopped"], "it is said")
    assert desk.filed() == []
    sense311(gateway, "requests", "go")
    wait_for(lambda: len(desk.filed()) == 1, "it is filed")
    assert gateway.stop() == 0


def test_a_silence_a_merge_a_split_and_a_link_by_hand(stage, desk, wait_for):
    """Each is answered by the running gateway, and stands in its log."""
    gateway, client = stage('[filing]\nmode = "approve"\n')
    window = ("--from", "2026-01-15T17:00Z", "--for", "5h", "--asset", "B-3")
    seen = sense311(gateway, "silence", "preview", *window)
    assert seen["assets"] == 1
    added = sense311(gateway, "silence", "add", *window, "--who", "ann", "--why", "works")
    assert (added["state"], added["answer"]) == ("done", "silence 1 is in force")
    for number in (1, 2, 3):
        say(client, number, [FULL] * 6, 0)
    wait_for(lambda: states(gateway) == ["review"] * 2, "two wait")
    (hushed,) = [
        one for one in sense311(gateway, "incidents", "ls")["incidents"] if one["subject"] == "B-3"
    ]
    assert (hushed["state"], hushed["why"]) == ("held", "silenced by a maintenance window")
    assert [s["who"] for s in sense311(gateway, "silence", "ls", "--all")["silences"]] == ["ann"]
    numbers = [one["incident"] for one in sense311(gateway, "requests", "ls")["requests"]]
    merged = sense311(gateway, "incidents", "merge", *map(str, reversed(numbers)))
    assert merged["state"] == "done"
    assert sorted(states(gateway)) == ["review", "withdrawn"]
    sense311(gateway, "incidents", "split", str(numbers[1]))
    linked = sense311(gateway, "incidents", "link", str(numbers[0]), "4711", "--who", "ann")
    assert linked["state"] == "filed"
    refused = sense311(gateway, "incidents", "reopen", "99", code=1)
    assert "no incident 99" in refused["error"]
    sense311(gateway, "silence", "end", "1")
    sense311(gateway, "silence", "end", "1", code=1)
    orders = gateway.query("SELECT who, state FROM orders WHERE who = 'ann'")
    assert ("ann", "done") in orders
    assert desk.filed() == []
    assert gateway.stop() == 0


def test_the_evidence_is_a_picture_and_a_record_for_whoever_has_the_reference(
    stage, desk, wait_for
):
    """Its address stands in the request; nothing else is served, and no device is named."""
    port = a_free_port()
    public = "https://town.example/evidence"
    gateway, client = stage(f'[evidence]\nport = {port}\npublic_url = "{public}"\n')
    say(client, 1, [40, 60, *[FULL] * 6], 0)
    wait_for(lambda: len(desk.filed()) == 1, "it is filed")
    media_url = desk.filed()[0]["media_url"]
    assert media_url.startswith(public + "/SCG-")
    base = f"http://127.0.0.1:{port}"
    picture = httpx.get(media_url.replace(public, base), timeout=30)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")
    record = httpx.get(media_url.replace(public, base).replace(".png", ".json")).json()
    assert "92" in record["facts"]["fill_pct"]
    assert "B-1" in record["facts"]["what"]
    assert "bin-1" not in json.dumps(record)
    assert record["limits"]
    for path in ("/", "/SCG-0.png", f"/SCG-{'0' * 32}.png", "/../etc/passwd.png", "/x.json"):
        assert httpx.get(base + path).status_code == 404
    assert httpx.post(media_url.replace(public, base)).status_code == 405
    story = sense311(gateway, "incidents", "show", "1")
    assert story["evidence"]["facts"] == record["facts"]
    why = sense311(gateway, "incidents", "why", "1")
    assert why["phase"] == "firing"
    assert gateway.stop() == 0
