"""`sense311 assets diff|import|export`: what a file would change, before it is put in place."""

import json
import sqlite3
import subprocess

import pytest
from books import BINS, Books, incoming, message
from conftest import SENSE311, a_bin, write_city
from typer.testing import CliRunner

from gateway.cli import app
from gateway.inventory.assets import read_assets

OTHER = [BINS[0] | {"owner": "north"}, BINS[2], a_bin(4)]


@pytest.fixture
def books(tmp_path):
    """One with books of a gateway that ran; `other.geojson` is what is offered."""
    made = Books(tmp_path).take(incoming("bin-1", message(1)))
    write_city(tmp_path / "other.geojson", OTHER)
    return made


def open_incident(books, asset):
    with sqlite3.connect(books.folder / "data" / "sense311.db") as db:
        row = (1, "bin_full", asset, 1, "firing", 0, 0, 0, "{}", None, None, "", None, "", "", "[]")
        db.execute(f"INSERT INTO incidents VALUES ({','.join('?' * len(row))})", row)
    db.close()


def other(books):
    return books.folder / "other.geojson"


def test_what_a_file_would_change_is_shown_and_nothing_is_written(books):
    """Added, removed, changed, devices; exit 1, as for all differences."""
    before = books.assets.read_bytes()
    told = books.run("assets", "diff", other(books), code=1)
    assert (told["added"], told["removed"]) == (["B-4"], ["B-2"])
    assert {"asset": "B-1", "key": "owner", "before": None, "after": "north"} in told["changed"]
    assert {"device": "bin-2", "before": "B-2", "after": None} in told["devices"]
    assert books.run("assets", "import", other(books))["applied"] is False
    assert books.assets.read_bytes() == before


def test_the_same_file_changes_nothing(books):
    """Exit 0."""
    assert books.run("assets", "diff", books.assets)["same"] is True
    assert books.run("assets", "import", books.assets, "--apply")["applied"] is False


def test_a_file_is_put_in_place_as_it_is(books):
    """Byte for byte, with the old one's permissions; nothing is left beside it."""
    books.assets.chmod(0o640)
    told = books.run("assets", "import", other(books), "--apply")
    assert told["applied"] is True
    assert books.assets.read_bytes() == other(books).read_bytes()
    assert books.assets.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in books.folder.glob("*.geojson")) == ["assets.geojson",
                                                                      "other.geojson"]  # fmt: skip
    assert list(books.folder.glob(".*")) == []


def test_assets_with_open_incidents_do_not_go_unless_forced(books):
    """Somebody still waits for these."""
    open_incident(books, "B-2")
    before = books.assets.read_bytes()
    assert books.run("assets", "diff", other(books), code=1)["open_incidents"] == {"B-2": 1}
    told = books.run("assets", "import", other(books), "--apply", code=1)
    assert "1 open incidents stand on assets that would go: B-2" in told["error"]
    assert books.assets.read_bytes() == before
    assert books.run("assets", "import", other(books), "--apply", "--force")["applied"] is True


def test_a_faulty_file_is_refused_with_the_line_of_each_fault(books):
    """Exit 1, under the name that the person gave, and the file in place stays."""
    before = books.assets.read_bytes()
    faulty = books.folder / "faulty.csv"
    faulty.write_text("asset_id,kind,lat,long\nA,bin,1,2\nB,bus,1,2\nC,bin,x,2\n")
    told = books.run("assets", "import", faulty, "--apply", code=1)
    found = sorted((one["file"], one["line"], one["code"]) for one in told["findings"])
    assert found == [(str(faulty), 3, "E304"), (str(faulty), 4, "E303")]
    assert books.assets.read_bytes() == before
    missing = books.run("assets", "diff", books.folder / "none.csv", code=1)
    assert [one["code"] for one in missing["findings"]] == ["E301"]


@pytest.mark.parametrize("form", ["geojson", "csv"])
def test_an_export_reads_back_as_the_same(books, form):
    """And imports as no change, whatever the format."""
    out = books.folder / f"out.{form}"
    assert books.run("assets", "export", "--format", form, "--out", out)["assets"] == 3
    assert read_assets([out]) == read_assets([books.assets])
    assert books.run("assets", "diff", out)["same"] is True
    text = books.run("assets", "export", "--format", form)["text"]
    assert text.encode() == out.read_bytes()


def test_a_table_is_imported_into_geojson(books):
    """The file in place keeps its format."""
    table = books.folder / "new.csv"
    table.write_text("asset_id,kind,lat,long,devices\nB-1,bin,41.88,-87.63,bin-1;x\n")
    assert books.run("assets", "import", table, "--apply")["applied"] is True
    (feature,) = json.loads(books.assets.read_text())["features"]
    assert feature["properties"]["devices"] == ["bin-1", "x"]


def test_ngsi_entities_are_imported(books):
    """What is no asset is said on the side."""
    entities = books.folder / "entities.json"
    point = {"type": "Point", "coordinates": [-87.63, 41.88]}
    entities.write_text(json.dumps([
        {"id": "urn:ngsi-ld:WasteContainer:B-1", "type": "WasteContainer", "location": point},
        {"id": "urn:ngsi-ld:WasteContainer:B-9", "type": "WasteContainer"},
        {"id": "urn:ngsi-ld:Road:R", "type": "Road"},
    ]))  # fmt: skip
    told = books.run("assets", "import", entities, code=1)
    assert [(one["file"], one["line"]) for one in told["findings"]] == [(str(entities), 2)]
    entities.write_text(json.dumps(
        {"id": "urn:ngsi-ld:WasteContainer:B-1", "type": "WasteContainer", "location": point}
    ))  # fmt: skip
    told = books.run("assets", "import", entities, "--apply")
    assert (told["removed"], told["applied"]) == (["B-2", "B-3"], True)


def test_of_several_files_one_is_named(books):
    """The others stay in force, and what clashes with them is found."""
    books.config.write_text(
        books.config.read_text().replace('"assets.geojson"', '"assets.geojson", "lamps.csv"')
    )
    lamps = books.folder / "lamps.csv"
    lamps.write_text("asset_id,kind,lat,long\nL-1,streetlight,41,-87\n")
    new = books.folder / "new.csv"
    new.write_text("asset_id,kind,lat,long\nL-2,streetlight,41,-87\n")
    assert "--to" in books.run("assets", "diff", new, code=2)["error"]
    told = books.run("assets", "import", new, "--to", lamps, "--apply")
    assert (told["added"], told["removed"]) == (["L-2"], ["L-1"])
    assert lamps.read_text() == new.read_text()
    new.write_text("asset_id,kind,lat,long,devices\nL-3,streetlight,41,-87,bin-1\n")
    told = books.run("assets", "import", new, "--to", lamps, "--apply", code=1)
    assert [one["code"] for one in told["findings"]] == ["E307"]


def test_people_get_lines(books):
    """What changes, a line each, and what to do next."""
    words = ["assets", "import", str(other(books)), "-c", str(books.config)]
    done = CliRunner().invoke(app, words)
    assert '~ B-1  owner: nothing -> "north"' in done.stdout
    assert done.stdout.splitlines()[-1].startswith("nothing is written; --apply puts it in place")


@pytest.mark.slow
def test_an_import_comes_into_force_while_the_gateway_runs(bundled_broker, a_gateway, wait_for):
    """A new bin is heard after a reload; nothing is restarted."""
    gateway = a_gateway(bundled_broker, assets=BINS).start()
    new = gateway.folder / "new.geojson"
    write_city(new, [*BINS, a_bin(4)])
    for words in (["assets", "import", str(new), "--apply"], ["rules", "reload"]):
        command = [*SENSE311, *words, "--json", "-c", str(gateway.config)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    bundled_broker.login().say("city/v1/z/bin/bin-4/telemetry", message(1))
    wait_for(lambda: gateway.count("readings") == 1, "it is taken in")
    assert gateway.count("refusals") == 0
