"""Other rules while the gateway runs: taken up whole, or refused whole; nothing lost on the way."""

import threading
from collections import Counter

import pytest
from conftest import a_bin, write_city
from small_city import LIBRARY, Gate, at, city_of, lamp

from gateway.app import Gateway
from gateway.books.ledger import incident_story, rules_in_force, states_of, unfiled_of
from gateway.books.store import Store
from gateway.config import read_config
from gateway.errors import ConfigError, StoreFull
from gateway.plans import RuleTexts, prepare, prepare_with, revised
from gateway.reload import FINDINGS_TOLD, Outcome, Reloader
from gateway.watch.status import ask_reload, drop_reload_request, take_reload_requests
from gateway.workbench.impact import impacts, phases_of, rewritten
from rules.files import load, read_library
from rules.finding import Finding
from rules.plan import changes

LIT, DARK = 58.0, 0.0
MINE = "apiVersion: sense311/v1\nsensor: {}\nrules:\n  - {{id: mine, title: T, when: {}}}\n"
OURS = MINE.format("streetlight", "active_power > 200 W")
BINS = MINE.format("bin", "fill > 90%")


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def library_with(mine="", **options):
    """The shipped rules and one of ours; `disable` leaves some out."""
    sources = read_library() | ({"mine.yaml": mine} if mine else {})
    texts = RuleTexts(sources, **options)
    bundle, findings = texts.whole()
    assert bundle is not None, findings
    return texts.without(bundle)


def shadowed(*rules):
    """The shipped rules, these in shadow."""
    sources = dict(read_library())
    for name, text in sources.items():
        lines = []
        for line in text.splitlines(keepends=True):
            lines.append(line)
            if line.strip() in [f"- {key}: {rule}" for rule in rules for key in ("use", "id")]:
                lines.append("    mode: shadow\n")
        sources[name] = "".join(lines)
    bundle, findings = load(sources)
    assert bundle is not None, findings
    assert [rule.id for rule in bundle.rules.values() if rule.in_shadow] == sorted(rules)
    return bundle


def dark_lamp(gate, moment, then, minutes=70):
    """Dark from minute 10 to 45; at a moment the rules are `then`."""
    for minute in range(minutes):
        if minute == moment:
            gate.bundle = then
            gate.restart()
        power_w = DARK if 10 <= minute < 45 else LIT
        gate.live(minute, lamp("d0", minute, power_w, minute))


# -- what is running under the rules --------------------------------------------------------------


@pytest.mark.parametrize("moment", range(0, 60, 7))
def test_a_rule_more_disturbs_no_other_whenever_it_comes(store, moment):
    """The states are laid out anew; the dark lamp fires when it would have, and is filed once."""
    gate = Gate(city_of(), store=store)
    dark_lamp(gate, moment, library_with(OURS))
    assert gate.services() == ["STREETLIGHT_OUT"]
    (incident,) = gate.incidents.values()
    assert (incident.started_ms, incident.fired_ms) == (at(10), at(25))
    assert incident.cleared_ms == at(55)


@pytest.mark.parametrize("moment", range(0, 60, 7))
def test_a_rule_that_is_promoted_files_exactly_what_still_stands(store, moment):
    """Before it fires, while it waits, after it would have filed: one request. After it: none."""
    gate = Gate(city_of(), store=store, bundle=shadowed("lamp_out"))
    dark_lamp(gate, moment, LIBRARY)
    stands = moment < 45
    assert gate.services() == (["STREETLIGHT_OUT"] if stands else [])
    (incident,) = gate.incidents.values()
    assert incident.cleared_ms == at(55)
    assert incident.state == ("queued" if stands else "shadow")


def test_a_rule_in_shadow_records_what_it_would_have_filed_and_when(store):
    """The request word by word, in the books; nothing in the outbox."""
    gate = Gate(city_of(), store=store, bundle=shadowed("lamp_out"))
    dark_lamp(gate, None, LIBRARY)
    assert gate.rows == []
    assert store.outbox_rows() == []
    (row,) = unfiled_of(store.path, "lamp_out")
    assert (row["subject"], row["service"], row["state"]) == ("SL-0", "STREETLIGHT_OUT", "shadow")
    story = incident_story(store.path, 1)
    assert "SL-0" in story["would_have_filed"]["request"]["description"]
    assert "shadow: not filed" in [line["cause"] for line in story["journal"]]


def test_a_live_rule_files_the_same_beside_a_parent_in_shadow(store):
    """A whole circuit goes dark: the parent is recorded, every lamp is filed."""
    gate = Gate(city_of(lamps=4), store=store, bundle=shadowed("feeder_outage"))
    for minute in range(0, 60, 5):
        power_w = DARK if minute >= 10 else LIT
        messages = [lamp(f"d{i}", minute, power_w, minute) for i in range(4)]
        gate.live(minute, *messages)
    assert gate.services() == ["STREETLIGHT_OUT"] * 4
    states = Counter(incident.state for incident in gate.incidents.values())
    assert states == {"queued": 4, "shadow": 1}


def test_an_open_fault_of_a_rule_that_is_gone_sleeps_until_it_is_back(store):
    """Kept as it is, filed once; it ends by the rule that came back."""
    gate = Gate(city_of(), store=store)
    without = library_with(disable=["lamp_out"])
    for minute in range(0, 90, 5):
        if minute in (30, 60):
            gate.bundle = without if minute == 30 else LIBRARY
            gate.restart()
        gate.live(minute, lamp("d0", minute, DARK if minute < 60 else LIT, minute))
    assert gate.services() == ["STREETLIGHT_OUT"]
    (incident,) = store.load().incidents
    assert incident.cleared_ms == at(70)


def test_an_open_fault_whose_rule_is_now_about_something_else_sleeps(store):
    """The same id for circuits: nothing is filed for a lamp in its name."""
    gate = Gate(city_of(), store=store, bundle=library_with(OURS))
    gate.live(0, lamp("d0", 0, 300.0, 1))
    assert gate.incidents[1].state == "noted"
    gate.bundle = library_with(BINS)
    gate.restart()
    gate.live(10, lamp("d0", 10, 300.0, 2))
    assert [i.cleared_ms for i in store.load().incidents if i.rule == "mine"] == [None]


# -- what a plan says -----------------------------------------------------------------------------


def impact_of(gate, store, new):
    layout, rows = states_of(store.path)
    kinds = {subject.id: subject.kind for subject in gate.city.subjects()}
    open_ = {}
    for incident in store.load().incidents:
        if incident.is_open:
            open_.setdefault(incident.rule, Counter())[incident.state] += 1
    found = changes(gate.bundle, new)
    told = impacts(found, gate.bundle, new, phases_of(rows, layout, kinds), open_)
    return told, rewritten(found, gate.bundle, new)


@pytest.mark.parametrize(
    ("new", "effects"),
    [
        (
            {"params": {"lamp_out.out_frac": "30%"}},
            ["timers in progress, RESET: 1", "open incidents, going on under the new rule: 1"],
        ),
        (
            {"disable": ["lamp_out"]},
            [
                "timers in progress, dropped: 1",
                "open incidents, kept as they are, asleep until the rule is back: 1",
                "of these held, NOT filed while the rule is gone: 1",
            ],
        ),
        (
            "lamp_out",  # as it is, in shadow
            [
                "timers in progress, kept: 1",
                "open incidents, going on: 1",
                "held, will not be filed: 1",
            ],
        ),
    ],
    ids=["changed", "removed", "into the shadow"],
)
def test_a_plan_counts_what_it_would_disturb(store, new, effects):
    """One lamp held, one pending: said before anything is done, and then it happens."""
    gate = Gate(city_of(lamps=2), store=store)
    for minute in range(28):
        powers = (DARK if minute >= 10 else LIT, DARK if minute >= 20 else LIT)
        gate.live(minute, *(lamp(f"d{i}", minute, p, minute) for i, p in enumerate(powers)))
    new = library_with(**new) if isinstance(new, dict) else shadowed(new)

    told, late = impact_of(gate, store, new)

    (impact,) = [impact for impact in told if impact.change.rule == "lamp_out"]
    assert (impact.pending, impact.firing) == (1, 1)
    assert impact.open == {"held": 1}
    assert list(impact.effects) == effects
    assert late == ([] if impact.change.keeps_state else ["streetlight"])


# -- from the files to the core -------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A configuration that names a rule file of its own."""
    write_city(tmp_path / "assets.geojson", [a_bin(1)])
    (tmp_path / "ours.yaml").write_text(BINS)
    config = tmp_path / "sense311.toml"
    config.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1:1"\n[city]\nendpoint = "http://127.0.0.1:9/v2"\n'
        '[assets]\nfiles = ["assets.geojson"]\n[store]\nfolder = "data"\n'
        '[rules]\nlibrary = false\nfiles = ["ours.yaml"]\n'
    )
    return config


def plans_of(config):
    return prepare(*read_config(config))


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.fixture
def gateway(files):
    """One that is not run: its turns are taken by hand."""
    made = Gateway(plans_of(files), read_again=lambda: plans_of(files))
    yield made
    made._shut_down()


def reload(gateway, wait_for):
    """Ask, and take turns until it is answered."""
    number = gateway.status()["reload"]["number"]
    gateway.reload()

    def answered():
        gateway._take_up_rules()
        return gateway.status()["reload"]["number"] > number

    wait_for(answered, "the reload is answered")
    return gateway.status()["reload"]


def test_a_good_bundle_is_in_force_and_on_disk(gateway, files, wait_for):
    """The status names its version; a start would find its texts."""
    before = gateway.status()["rules"]["version"]
    edit(files.parent / "ours.yaml", "90%", "85%")
    assert reload(gateway, wait_for)["result"] == "loaded"
    assert gateway.status()["rules"]["version"] == plans_of(files).bundle.version != before
    kept = RuleTexts.from_json(rules_in_force(gateway._store.path))
    assert kept == plans_of(files).texts
    assert reload(gateway, wait_for)["result"] == "unchanged"


@pytest.mark.parametrize(
    ("file", "before", "after", "line", "code"),
    [
        ("ours.yaml", "fill > 90%", "fil > 90%", 4, "E101"),
        ("ours.yaml", "rules:", "rules: [", 4, "E001"),
        ("sense311.toml", '["ours.yaml"]', '["theirs.yaml"]', 11, "E410"),
        ("sense311.toml", "[rules]", "[rulez]", 9, "E402"),
        ("assets.geojson", '"kind"', '"kin"', 1, "E"),
    ],
)
def test_a_broken_file_changes_nothing_and_is_named(
    gateway, files, wait_for, file, before, after, line, code
):
    """Amber, with the place of the fault; the core is the very same as before."""
    core, rules = gateway._core, gateway.status()["rules"]
    kept = rules_in_force(gateway._store.path)
    edit(files.parent / file, before, after)
    told = reload(gateway, wait_for)
    assert told["result"] == "refused"
    found = told["findings"][0]
    assert found["file"].endswith(file)
    assert (found["line"], found["code"][: len(code)]) == (line, code)
    assert gateway._core is core
    assert gateway.status()["rules"] == rules
    assert rules_in_force(gateway._store.path) == kept


def test_rules_that_break_the_core_are_refused(gateway, files, wait_for, monkeypatch):
    """A fault of ours, not of the files: the core that works goes on."""
    core = gateway._core
    edit(files.parent / "ours.yaml", "90%", "85%")
    monkeypatch.setattr("gateway.app.Core", lambda *_: 1 / 0)
    told = reload(gateway, wait_for)
    assert (told["result"], gateway._core) == ("refused", core)
    assert "see its log" in told["problem"]


def test_a_full_disk_refuses_the_rules_and_is_told_as_ever(gateway, files, wait_for, monkeypatch):
    """Nothing has changed, and the turn learns that the disk is full."""
    core = gateway._core

    def full(*_):
        raise StoreFull("no room")

    edit(files.parent / "ours.yaml", "90%", "85%")
    monkeypatch.setattr(gateway._store, "save_rules", full)
    with pytest.raises(StoreFull):
        reload(gateway, wait_for)
    assert gateway.status()["reload"]["result"] == "refused"
    assert gateway._core is core


def test_what_waits_for_a_restart_is_named(gateway, files, wait_for):
    """Other sections of the configuration are not taken up half."""
    edit(files, 'folder = "data"', 'folder = "data"\nretention_days = 3.0')
    edit(files.parent / "ours.yaml", "90%", "85%")
    told = reload(gateway, wait_for)
    assert (told["result"], told["at_restart"]) == ("loaded", ["store"])


def test_a_service_that_only_a_new_profile_has_waits_for_a_restart(files, tmp_path):
    """The filer works by the profile in force: a rule that it cannot file is refused."""
    plans = plans_of(files)
    rule = "{id: mine, title: T, when: fill > 90%, file: {service: BIN_FULL, description: x}}"
    (tmp_path / "ours.yaml").write_text(
        f"apiVersion: sense311/v1\nsensor: bin\nrules:\n  - {rule}\n"
    )
    news = plans_of(files)
    assert revised(plans, news)[0].bundle is news.bundle
    services = {k: v for k, v in plans.profile.services.items() if k != "BIN_FULL"}
    old = type(plans)(**{name: getattr(plans, name) for name in plans.__slots__} | {
        "profile": plans.profile.model_copy(update={"services": services})
    })  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        revised(old, news)
    (finding,) = caught.value.findings
    assert (finding.code, finding.line) == ("E407", 4)
    assert "restart" in finding.help


def test_a_gateway_that_starts_with_the_rules_from_before_says_so(files):
    """Amber from the first status on, with the findings of the files."""
    kept = plans_of(files)
    config, secrets = read_config(files)
    plans = prepare_with(kept.texts, config, secrets)
    assert plans.bundle.version == kept.bundle.version
    broken = [Finding("ours.yaml", 4, 1, "E101", "m")]
    outcome = Reloader(files.parent, lambda: plans, _with(plans, broken=broken), 0).outcome
    assert (outcome.result, outcome.findings) == ("refused", broken)


def _with(plans, **changes):
    from dataclasses import replace

    return replace(plans, **changes)


# -- asking ---------------------------------------------------------------------------------------


def test_each_request_is_answered_by_a_reading_that_began_after_it(files, wait_for):
    """One that comes while files are being read is answered by the next reading."""
    plans, go_on, begun = plans_of(files), threading.Event(), threading.Event()

    def read():
        begun.set()
        assert go_on.wait(20)
        return plans

    reloader = Reloader(files.parent, read, plans, 0)
    first = ask_reload(files.parent)
    reloader.look()
    assert begun.wait(20)
    second, third = ask_reload(files.parent), ask_reload(files.parent)
    reloader.look()
    assert reloader.take() is None
    go_on.set()
    assert wait_for(reloader.take, "the first is read").asked == [first]
    reloader.look()
    assert sorted(wait_for(reloader.take, "the others are read").asked) == sorted([second, third])
    reloader.look()
    assert reloader.take() is None


def test_a_request_that_is_dropped_is_not_answered(tmp_path):
    """By a command that waits no longer."""
    drop_reload_request(tmp_path, ask_reload(tmp_path))
    assert take_reload_requests(tmp_path) == []


def test_a_failure_while_reading_is_an_answer(files, wait_for):
    """Whatever it is: the one who asked does not wait in vain."""
    reloader = Reloader(files.parent, lambda: 1 / 0, plans_of(files), 0)
    reloader.ask()
    reloader.look()
    offer = wait_for(reloader.take, "it is answered")
    assert (offer.plans, [finding.code for finding in offer.findings]) == (None, ["E414"])


def test_a_status_holds_only_so_many_findings():
    """It is written every second, also when the disk is full."""
    findings = [Finding("f", n, 1, "E101", "m") for n in range(FINDINGS_TOLD + 5)]
    told = Outcome(1, 0, "refused", "p", findings).told()
    assert (len(told["findings"]), told["findings_left_off"]) == (FINDINGS_TOLD, 5)
