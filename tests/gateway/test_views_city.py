"""The city on a map: how each asset is, where incidents are, and that a hundred pages cost one."""

import asyncio
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import httpx
import map_city
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.city import city_routes
from gateway.books.open_cases import open_cases
from gateway.books.store import Store
from gateway.cases.incident import State
from gateway.cases.places import Place
from gateway.cityhall import delivery
from gateway.effects import Effects
from gateway.views import city, city_board
from gateway.views.asset_card import asset_card
from gateway.views.books import Books
from gateway.views.city import AssetState, case_state, state_of, titled
from gateway.views.city_board import CityBoard

pytestmark = pytest.mark.slow

NODE = shutil.which("node")
ROOT = Path(__file__).parent.parent.parent
D = delivery.State
NOW_MS = map_city.T0_MS


class Wall:
    """The time of day, moved by hand."""

    def __init__(self):
        self.ms = NOW_MS

    def now_ms(self):
        return self.ms


@pytest.fixture
def folder(tmp_path):
    return map_city.make_folder(tmp_path, 60).parent


@pytest.fixture
def books(folder):
    return Books(folder / "sense311.toml", Wall())


@pytest.fixture
def store(folder):
    opened = Store(folder / "data")
    yield opened
    opened.close()


def put(store, *incidents, outbox=(), **more):
    number = incidents[-1].id if incidents else 1
    effects = Effects(
        incidents={one.id: one for one in incidents}, outbox=list(outbox), tick_ms=NOW_MS, **more
    )
    effects.journal.append(map_city.an_entry(number, "x", "y"))
    store.commit(effects)


def seen(books):
    """Asset -> its state; and the incidents on the map."""
    shown = city.city_of(books)
    states = [shown.now.names[int(digit)] for digit in shown.now.states]
    return dict(zip(shown.assets.ids, states, strict=True)), shown.now.incidents


# -- how an asset is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("incident", "request_state", "closed", "expected"),
    [
        (State.HELD, "", False, AssetState.FAULT),
        (State.NOTED, "", False, AssetState.FAULT),
        (State.SHADOW, "", False, AssetState.SHADOW),
        (State.QUEUED, D.READY, False, AssetState.FAULT),
        (State.QUEUED, D.SENDING, False, AssetState.FAULT),
        (State.QUEUED, D.UNCERTAIN, False, AssetState.FAULT),
        (State.QUEUED, D.REOPENING, False, AssetState.FAULT),
        (State.QUEUED, D.WITHDRAWN, False, AssetState.FAULT),
        (State.QUEUED, "", False, AssetState.FAULT),
        (State.QUEUED, D.REVIEW, False, AssetState.WAITING),
        (State.QUEUED, D.REFUSED, False, AssetState.WAITING),
        (State.QUEUED, D.HELD, False, AssetState.WAITING),
        (State.QUEUED, D.TOKENED, False, AssetState.FILED),
        (State.QUEUED, D.FILED, False, AssetState.FILED),
        (State.QUEUED, D.FILED, True, AssetState.VERIFYING),
        (State.HELD, D.FILED, True, AssetState.FAULT),
    ],
)
def test_what_an_incident_means(incident, request_state, closed, expected):
    """Each state of an incident and of its request is one state on the map."""
    assert case_state(incident, request_state, closed=closed) is expected


def test_every_state_of_a_request_is_placed():
    """No state of a delivery is forgotten: it waits for a person, is at the city, or neither."""
    known = {case_state(State.QUEUED, state, closed=False) for state in D}
    assert known == {AssetState.WAITING, AssetState.FILED, AssetState.FAULT}


@pytest.mark.parametrize(
    ("cases", "silent", "shadow", "expected"),
    [
        ((), False, False, AssetState.OK),
        ((), True, False, AssetState.SILENT),
        ((), False, True, AssetState.SHADOW),
        ((), True, True, AssetState.SILENT),
        ((AssetState.SHADOW,), False, False, AssetState.SHADOW),
        ((AssetState.SHADOW,), True, True, AssetState.SILENT),
        ((AssetState.FILED,), True, False, AssetState.FILED),
        ((AssetState.VERIFYING,), True, True, AssetState.VERIFYING),
        ((AssetState.FILED, AssetState.VERIFYING), False, False, AssetState.FILED),
        ((AssetState.FAULT, AssetState.FILED), False, False, AssetState.FAULT),
        ((AssetState.FAULT, AssetState.WAITING, AssetState.FILED), True, True, AssetState.WAITING),
    ],
)
def test_how_an_asset_is(cases, silent, shadow, expected):
    """An asset is shown as the gravest of what is known of it."""
    assert state_of(cases, silent=silent, shadow=shadow) is expected


@given(st.lists(st.sampled_from(AssetState)), st.sampled_from(AssetState), st.booleans())
def test_more_incidents_are_never_less_grave(cases, more, silent):
    """One more incident leaves the state of an asset as it is, or makes it graver."""
    before = state_of(cases, silent=silent, shadow=False)
    after = state_of([*cases, more], silent=silent, shadow=False)
    assert city.STATES.index(after) >= city.STATES.index(before)
    assert after in (before, more)


def test_a_title_is_filled_with_its_subject():
    """The title of a rule names the one thing, or none; what is not known yet is left out."""
    assert titled("Lamp {asset.id} is dark", "SL-1") == "Lamp SL-1 is dark"
    assert titled("Lamp {asset.id} draws {power:.0f W}") == "Lamp … draws …"
    assert titled("Circuit {circuit.id} is out", "circuit:C-1") == "Circuit C-1 is out"
    assert titled("{asset.id}", r"\1{asset.id}") == r"\1…"
    place = "place:pothole:41.88593,-87.59896:1789524004320"
    assert titled("Pothole at {place.id}", place) == "Pothole at 41.88593, -87.59896"


# -- from the books -------------------------------------------------------------------------------


def test_nothing_is_known_before_the_gateway_has_run(books):
    """Without a store every asset stands on the map, and nothing is said of it but its shadow."""
    states, incidents = seen(books)
    assert len(states) == 60
    assert incidents == []
    assert {id_ for id_, state in states.items() if state != "ok"} == {"RO-5"}
    assert states["RO-5"] is AssetState.SHADOW


def test_positions_are_columns_of_one_length(books):
    """What stands in the city is told by columns; each asset is where its file says, to a metre."""
    view = city.city_of(books).assets
    assets = books.plans().city.assets
    columns = (view.ids, view.lat_e5, view.long_e5, view.kind, view.zone)
    assert {len(column) for column in columns} == {60}
    for i, asset_id in enumerate(view.ids):
        asset = assets[asset_id]
        assert view.lat_e5[i] == pytest.approx(asset.lat * 1e5, abs=0.5)
        assert view.long_e5[i] == pytest.approx(asset.lon * 1e5, abs=0.5)
        assert view.kinds[view.kind[i]] == asset.kind
        assert view.zones[view.zone[i]] == asset.zone


def test_who_is_not_heard_is_silent(books, store):
    """An asset of which no device was ever heard is silent; a road segment has nothing to say."""
    map_city.fill(store, 60, 0, silent=10)
    states, _ = seen(books)
    silent = {id_ for id_, state in states.items() if state is AssetState.SILENT}
    expected = {f["properties"]["asset_id"] for f in map(_feature, range(50, 60))}
    assert silent == {id_ for id_ in expected if not id_.startswith("RO-")}
    assert states["RO-53"] is AssetState.OK


def _feature(i):
    return map_city.feature(i, 60)


def test_an_incident_is_where_its_asset_is(books, store):
    """An incident of an asset carries its place in the columns, its address and its request."""
    asked = map_city.a_request(1, "lamp_out", "ST-0", D.FILED, request_id="C-77")
    put(store, map_city.an_incident(1, "ST-0", "lamp_out", State.QUEUED), outbox=[asked])
    states, [one] = seen(books)
    assert states["ST-0"] is AssetState.FILED
    assert (one.asset, one.kind, one.zone) == (0, "streetlight", "Ward 1")
    assert (one.lat_e5, one.long_e5) == (4180000, -8775000)
    assert (one.address, one.request, one.city_id) == ("100 W Example St", asked.reference, "C-77")
    assert one.title == "Street light ST-0 is dark at night"
    assert one.fired_at == "2026-01-15T05:00:00Z"


def test_what_is_no_asset_has_a_position_too(books, store):
    """A pothole is where vehicles felt it, a circuit where it stands; what is lost is listed."""
    place = Place("P-1", "pothole", 41.9, -87.6, 3)
    put(
        store,
        map_city.an_incident(1, "P-1", "pothole"),
        map_city.an_incident(2, "circuit:C-0", "circuit_out"),
        map_city.an_incident(3, "gone", "some_rule", State.QUEUED),
        map_city.an_incident(4, "lost", "some_rule"),
        outbox=[map_city.a_request(3, "some_rule", "gone", D.READY, 41.7, -87.5)],
        places=[("P-1", city.msgspec.msgpack.encode(place))],
    )
    found = {one.subject: one for one in seen(books)[1]}
    assert (found["P-1"].kind, found["P-1"].asset) == ("place", None)
    assert (found["P-1"].lat_e5, found["P-1"].long_e5) == (4190000, -8760000)
    assert (found["circuit:C-0"].kind, found["circuit:C-0"].zone) == ("circuit", "Ward 1")
    assert found["circuit:C-0"].lat_e5 is not None
    assert (found["gone"].lat_e5, found["gone"].title) == (4170000, "some_rule")
    assert (found["lost"].lat_e5, found["lost"].long_e5) == (None, None)


def test_what_another_explains_is_shown_by_it(books, store):
    """A lamp of a dark circuit is as the circuit's request is, and only the circuit has a pin."""
    circuit = map_city.an_incident(1, "circuit:C-0", "circuit_out", State.QUEUED)
    lamps = [
        map_city.an_incident(n, f"ST-{i}", "lamp_out", State.ABSORBED, parent=1)
        for n, i in ((2, 0), (3, 1))
    ]
    asked = map_city.a_request(1, "circuit_out", "C-0", D.REVIEW)
    put(store, circuit, *lamps, outbox=[asked])
    states, [one] = seen(books)
    assert (one.id, one.explains, one.state) == (1, 2, AssetState.WAITING)
    assert states["ST-0"] is states["ST-1"] is AssetState.WAITING


def test_what_is_over_is_not_on_the_map(books, store):
    """Incidents that ended or were withdrawn leave their asset in order."""
    over = map_city.an_incident(1, "ST-0", "lamp_out", State.QUEUED, cleared_ms=NOW_MS)
    gone = map_city.an_incident(2, "ST-1", "lamp_out", State.WITHDRAWN)
    map_city.fill(store, 60, 0)
    put(store, over, gone)
    states, incidents = seen(books)
    assert incidents == []
    assert states["ST-0"] is states["ST-1"] is AssetState.OK


def test_the_list_is_bounded_and_says_so(books, store, monkeypatch):
    """Of more incidents than fit, those that wait for a person come first, then the latest."""
    monkeypatch.setattr(city, "INCIDENTS_MAX", 3)
    many = [map_city.an_incident(n, f"ST-{6 * n}", "lamp_out") for n in range(2, 7)]
    first = map_city.an_incident(1, "ST-0", "lamp_out", State.QUEUED)
    put(store, first, *many, outbox=[map_city.a_request(1, "lamp_out", "ST-0", D.REVIEW)])
    now = city.city_of(books).now
    assert [one.id for one in now.incidents] == [1, 6, 5]
    assert now.more == 3


def test_names_from_outside_stay_text(books, store):
    """A subject with HTML in it is handed on as it is, for the page to put in as text."""
    put(store, map_city.an_incident(1, "<img src=x>", "<b>rule</b>"))
    [one] = seen(books)[1]
    assert (one.subject, one.title) == ("<img src=x>", "<b>rule</b>")
    body = CityBoard(books).states().body
    assert json.loads(body)["incidents"][0]["subject"] == "<img src=x>"


# -- kept ready -----------------------------------------------------------------------------------


def later(books, ms=city_board.LOOK_MS):
    books.clock.ms += ms


def test_the_same_answer_until_something_happens(books, store):
    """The tag of the states is another after an incident, and the same while nothing happens."""
    board = CityBoard(books)
    before, assets = board.states(), board.assets()
    later(books)
    assert board.states() is before
    put(store, map_city.an_incident(1, "ST-0", "lamp_out"))
    later(books)
    after = board.states()
    assert after.tag != before.tag
    assert json.loads(after.body)["states"][0] == str(city.STATES.index(AssetState.FAULT))
    assert board.assets() is assets
    assert json.loads(after.body)["assets_version"] == json.loads(assets.body)["version"]


def test_a_hundred_askers_are_one_look(books, store, monkeypatch):
    """Whoever asks while others do gets their answer: the books are opened once."""
    looks = []
    monkeypatch.setattr(
        city_board, "open_cases", lambda path: looks.append(path) or open_cases(path)
    )
    put(store, map_city.an_incident(1, "ST-0", "lamp_out"))
    board, answers = CityBoard(books), []
    threads = [threading.Thread(target=lambda: answers.append(board.states())) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looks) == 1
    assert len({answer.tag for answer in answers}) == 1


def test_a_clock_set_back_does_not_stop_the_board(books, store):
    """What happens after the clock was set back is seen as well."""
    board = CityBoard(books)
    before = board.states()
    put(store, map_city.an_incident(1, "ST-0", "lamp_out"))
    books.clock.ms -= 86_400_000
    assert board.states().tag != before.tag


def test_who_falls_silent_is_noticed(books, store, wait_for):
    """Silence comes without anything in the journal: it is looked for every half minute."""
    config = books.config_path
    config.write_text(config.read_text().replace("follow", "system"))
    map_city.fill(store, 60, 0)
    board = CityBoard(books)
    ok = str(city.STATES.index(AssetState.OK))
    assert json.loads(board.states().body)["states"][0] == ok
    later(books, 30 * 86_400_000)
    board.states()

    def fell_silent():
        later(books)
        return json.loads(board.states().body)["states"][0] != ok

    wait_for(fell_silent, "a lamp is silent", 10.0)


def test_other_assets_are_another_map(books, store):
    """When other plans are in force the assets have another tag, and the states name it."""
    board = CityBoard(books)
    before = board.assets()
    path = books.folder.parent / "assets.geojson"
    collection = json.loads(path.read_text())
    collection["features"] = collection["features"][:50]
    path.write_text(json.dumps(collection))
    rules = {"version": "other", "since": "now"}
    said = {"state": "green", "at_ms": NOW_MS, "rules": rules}
    (books.folder / "status.json").write_text(json.dumps(said))
    later(books)
    after = board.assets()
    assert after.tag != before.tag
    states = json.loads(board.states().body)
    assert len(states["states"]) == 50
    assert states["assets_version"] == json.loads(after.body)["version"]


@pytest.mark.slow
def test_twenty_thousand_assets_are_quick(tmp_path):
    """With 20,000 assets and 500 incidents an answer after a change takes less than 100 ms, and one
    that is known less than one.
    """
    books = Books(map_city.make_folder(tmp_path, 20_000), Wall())
    store = Store(books.folder)
    map_city.fill(store, 20_000, 500)
    board = CityBoard(books)
    assert len(json.loads(board.states().body)["states"]) == 20_000
    changed, known = [], []
    for number in range(501, 508):
        put(store, map_city.an_incident(number, "ST-0", "lamp_out"))
        later(books)
        for times in (changed, known):
            began = time.perf_counter()
            board.states()
            times.append(time.perf_counter() - began)
    store.close()
    assert min(changed) < 0.1
    assert min(known) < 0.001


# -- one asset ------------------------------------------------------------------------------------


def test_the_card_of_an_asset(books, store):
    """One asset with its address and its devices, each with when it was last heard."""
    map_city.fill(store, 60, 0, silent=1)
    card = asset_card(books, "ST-0")
    assert (card.kind, card.zone, card.address) == ("streetlight", "Ward 1", "100 W Example St")
    [speaker] = card.devices
    assert (speaker.device, speaker.state, speaker.last_seen) == (
        "d0", "online", "2026-01-15T05:00:00Z",
    )  # fmt: skip
    assert asset_card(books, "RO-5").in_shadow
    assert asset_card(books, "nobody") is None


def test_a_device_never_heard_of_says_so(books, store):
    """The card of an asset whose device never spoke has no time for it."""
    map_city.fill(store, 60, 0, silent=8)
    [speaker] = asset_card(books, "ST-54").devices
    assert (speaker.state, speaker.last_seen) == ("silent", None)


# -- over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def asking(books, store):
    map_city.fill(store, 60, 5)
    app = FastAPI()
    app.include_router(city_routes(books))

    async def ask(path, **how):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            return await client.get(path, **how)

    return lambda path, **how: asyncio.run(ask(path, **how))


@pytest.mark.parametrize("part", ["assets", "states"])
def test_who_has_the_latest_gets_nothing_again(asking, part):
    """The tag of an answer, said back either way, gives an answer without a body."""
    first = asking(f"/city/{part}")
    tag = first.headers["ETag"]
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "private, no-store"
    again = asking(f"/city/{part}", headers={"If-None-Match": f'W/"x", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    known = asking(f"/city/{part}", params={"known": tag.strip('"')})
    assert (known.status_code, known.content) == (204, b"")
    other = asking(f"/city/{part}", params={"known": "other"})
    assert other.json() == first.json()


def test_both_parts_are_as_they_are_documented(asking):
    """What is sent reads back as the models that the interface names."""
    assets = city.AssetsView.model_validate_json(asking("/city/assets").content)
    states = city.StatesView.model_validate_json(asking("/city/states").content)
    assert states.assets_version == assets.version
    assert len(states.states) == len(assets.ids)


def test_one_asset_over_http(asking):
    """One asset by its name; a name that stands for nothing is 404, one that is too long 422."""
    assert asking("/city/asset", params={"id": "ST-0"}).json()["kind"] == "streetlight"
    assert asking("/city/asset", params={"id": "../etc"}).status_code == 404
    assert asking("/city/asset", params={"id": "x" * 129}).status_code == 422


# -- in the browser -------------------------------------------------------------------------------


def test_the_grid_of_the_map(tmp_path):
    """In node: each point in one cell, what filters leave, and addresses that read back."""
    if NODE is None:
        pytest.skip("node is not installed")
    copy = shutil.copy(ROOT / "gateway/console/city_map/grid.js", tmp_path / "grid.mjs")
    command = [NODE, str(ROOT / "tests/node/map_grid.mjs"), str(copy)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr
