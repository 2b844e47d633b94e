"""Devices as pages and programs see them: what `devices ls` and `devices show` say, by the page."""

import json

import pytest
from books import BINS, Books, incoming
from conftest import a_bin, a_lamp

from gateway.books.store import Store
from gateway.cityhall.requests import rfc3339
from gateway.clock import ManualClock, SystemClock
from gateway.effects import Effects, StoredRefusal
from gateway.field.device_status import DeviceState
from gateway.field.devices import Device, Life
from gateway.inventory.adoptable import PROPOSALS_MAX, Hearsay, likely
from gateway.inventory.asset_files import read_whole
from gateway.views.books import Books as Shown
from gateway.views.devices import PAGE_ROWS_MAX, Wanted, device_view, devices_of

pytestmark = pytest.mark.slow

NOW_MS = SystemClock().now_ms() // 1000 * 1000
HOUR_MS = 3_600_000
SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path, [*BINS, a_lamp(1), a_bin(77)])


def said(seq, ts_ms=NOW_MS, boot=1, **values):
    return {"ts": rfc3339(ts_ms), "boot": boot, "seq": seq, "values": values or {"fill_pct": 20}}


def of(books, now_ms=NOW_MS):
    return Shown(books.config, ManualClock(now_ms))


@pytest.fixture
def mixed(books):
    """One of each: heard with gaps, late, refused, with a wrong clock, and nobody's."""
    books.take(incoming("bin-3", said(1)), now_ms=NOW_MS - 1)
    return books.take(
        incoming("bin-1", said(1)),
        incoming("bin-1", said(5, fill_pct=30, battery_v=3.4)),
        incoming("bin-1", said(9)),
        incoming("bin-1", said(2, boot=2)),
        incoming("bin-2", said(1, NOW_MS - 30 * HOUR_MS)),
        incoming("bin-3", said(2, fill_pct=900)),
        incoming("lamp-1", said(1, NOW_MS + HOUR_MS, active_power_w=1.0), "streetlight"),
        incoming("new-77", said(1, temperature_c=5.0)),
        now_ms=NOW_MS,
    )


def test_a_list_says_what_the_command_says(mixed):
    """Field by field; the hint that mends the last refusal comes on top."""
    shown = [row.model_dump(mode="json") for row in devices_of(of(mixed)).devices]
    hints = {row["device"]: row.pop("hint") for row in shown}
    assert shown == mixed.run("devices", "ls")["devices"]
    assert {row["device"]: row["state"] for row in shown} == {
        "bin-1": "online", "bin-2": "online", "bin-3": "fault", "lamp-1": "fault",
        "new-77": "quarantined",
    }  # fmt: skip
    assert hints["bin-3"]
    assert not hints["bin-1"]


@pytest.mark.parametrize("name", ["bin-1", "bin-3", "lamp-1", "new-77", "bin-77"])
def test_a_device_says_what_the_command_says(mixed, name):
    """Readings, refusals and clock too; also of one that an asset has and that never spoke."""
    view = device_view(of(mixed), name)
    shown = view.model_dump(mode="json", exclude={"hint", "gaps", "proposals"})
    assert shown == mixed.run("devices", "show", name)


def test_a_device_that_nobody_has_heard_of_is_none(mixed):
    """As is one with a name that no device can have."""
    assert device_view(of(mixed), "nobody") is None
    assert device_view(of(mixed), SCRIPT) is None


def test_the_numbers_that_never_came_are_told(mixed):
    """The latest first, each with the start of the device that it belongs to."""
    gaps = device_view(of(mixed), "bin-1").gaps
    assert [(gap.boot, gap.first, gap.last) for gap in gaps] == [(1, 6, 8), (1, 2, 4)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(state="fault"), ["bin-3", "lamp-1"]),
        (Wanted(kind="streetlight"), ["lamp-1"]),
        (Wanted(zone="z", search="b-2"), ["bin-2"]),  # by its asset
        (Wanted(search=" BIN-"), ["bin-1", "bin-2", "bin-3"]),
        (Wanted(zone="y"), []),
        (Wanted(search="%"), []),
    ],
)
def test_a_list_is_narrowed(mixed, wanted, names):
    """The counts by state are those of the whole fleet all the same."""
    found = devices_of(of(mixed), wanted)
    assert [row.device for row in found.devices] == names
    assert found.found == len(names)
    assert found.states == {
        DeviceState.ONLINE: 2, DeviceState.LATE: 0, DeviceState.SILENT: 0,
        DeviceState.QUARANTINED: 1, DeviceState.FAULT: 2,
    }  # fmt: skip
    assert (found.kinds, found.zones) == (["bin", "streetlight"], ["z"])


@pytest.mark.parametrize(
    ("page", "rows", "names", "at"),
    [
        (1, 2, ["bin-1", "bin-2"], 1),
        (3, 2, ["new-77"], 3),
        (9, 2, ["new-77"], 3),
        (-4, 2, ["bin-1", "bin-2"], 1),
        (1, 0, ["bin-1"], 1),
    ],
)
def test_a_list_comes_by_the_page(mixed, page, rows, names, at):
    """A page that is not there is the nearest that is."""
    found = devices_of(of(mixed), page=page, rows=rows)
    assert ([row.device for row in found.devices], found.page) == (names, at)


def test_an_empty_fleet_has_one_empty_page(books):
    """Before anything was heard."""
    books.take()
    found = devices_of(of(books))
    assert (found.devices, found.found, found.page, found.pages) == ([], 0, 1, 1)


def test_where_time_is_that_of_the_data_the_list_goes_by_it(tmp_path):
    """As the command does."""
    books = Books(tmp_path, ingest='clock = "follow"')
    books.take(incoming("bin-1", said(1, NOW_MS - 900 * HOUR_MS)), now_ms=NOW_MS)
    (row,) = devices_of(of(books)).devices
    assert row.state == books.run("devices", "ls")["devices"][0]["state"] == "online"


# -- whose it may be -------------------------------------------------------------------------------


def test_a_device_that_is_nobodys_is_proposed_to_what_fits(mixed):
    """By the number that its name ends in, with whether anything speaks for that asset so far."""
    (one,) = device_view(of(mixed), "new-77").proposals
    assert (one.asset, one.same_number, one.silent, one.metres) == ("B-77", True, True, None)
    assert device_view(of(mixed), "bin-1").proposals == []


def test_where_it_was_goes_before_what_it_is_called(books):
    """Of what it said last, word for word; an asset of another kind is not proposed."""
    here = said(1) | {"loc": [41.88, -87.63 + 1.1e-3]}
    books.take(incoming("new-77", here), now_ms=NOW_MS)
    found = device_view(of(books), "new-77").proposals
    assert [(one.asset, one.metres) for one in found] == [
        ("B-2", 8), ("B-3", 75), ("B-1", 91), ("B-77", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "loc", ["[91, 0]", "[NaN, 0]", "[1e999, 0]", "[0]", '"x"', "null", "[[[1]]]", "[" * 4000]
)
def test_a_place_that_cannot_be_is_none(books, loc):
    """Whatever was refused of it."""
    refusal = StoredRefusal(
        NOW_MS, "city/v1/z/bin/new-1/telemetry", "new-1", "unknown_device", "", "", "", 1,
        f'{{"loc": {loc}}}'.encode(),
    )  # fmt: skip
    store = Store(books.folder / "data")
    store.commit(Effects(refusals=[refusal]))
    store.close()
    assert [one.asset for one in device_view(of(books), "new-1").proposals] == ["B-1"]


def test_few_are_proposed_and_none_for_no_reason(tmp_path):
    """A name without a number, from nowhere, may be anybody's."""
    books = Books(tmp_path, [a_bin(i) | {"asset_id": f"{i}-7"} for i in range(30)])
    city = read_whole([books.assets])
    assert len(likely(Hearsay("bin-007", "bin", "", None), city)) == PROPOSALS_MAX
    assert likely(Hearsay("bin", "bin", "", None), city) == []
    assert likely(Hearsay("bin-7", "streetlight", "", None), city) == []


# -- many ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_page_of_100_000_devices_is_bounded(books):
    """Whatever page and filter; one beyond the end is the last."""
    store, effects = Store(books.folder / "data"), Effects()
    for i in range(100_000):
        name = f"dev-{i:06}"
        life = Life(1, NOW_MS, NOW_MS, [[0, 1000], [1005, 2000]])
        effects.devices[name] = Device(name, "z", "bin", NOW_MS, NOW_MS, None, [life])
        if i % 4 == 0:
            topic = f"city/v1/z/bin/{name}/telemetry"
            why = "unknown_device", "", "", "have it entered", 300
            effects.refusals.append(StoredRefusal(NOW_MS, topic, name, *why, b"x" * 300))
    store.commit(effects)
    store.close()
    asked = of(books)
    asked.plans()
    devices_of(asked, rows=1)
    for wanted in (Wanted(), Wanted(state="quarantined", search="0999")):
        found = devices_of(asked, wanted, page=400)
        assert len(found.devices) == min(PAGE_ROWS_MAX, found.found)
    assert found.found == 120


def test_what_is_shown_is_json(mixed):
    """Whatever a device said: the model holds it as it came."""
    view = device_view(of(mixed), "bin-3")
    assert json.loads(view.model_dump_json())["refusals"][0]["reason"] == "out_of_range"
