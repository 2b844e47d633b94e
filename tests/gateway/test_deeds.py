"""Deeds: who may do what, what is owed for it, what comes of it, and that it stands in the log."""

import stat
import threading
import time
from dataclasses import replace

import pytest
from conftest import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from staffed import ADMIN, MINUTE_MS, OPERATOR, OWN_RULES, T0_MS, VIEWER, Staffed

from gateway.cases.silences import Silence
from gateway.staff.deed import NEEDS, NUMBER_MAX, WHY_CHARS_MAX, Deed, faults_of_window, kept
from gateway.staff.deeds import Code, Deeds, Via
from gateway.staff.people import Person, Role
from gateway.staff.rule_files import hash_of
from gateway.views.audit import audit_of

pytestmark = pytest.mark.slow

WINDOW = Silence(who="", why="", from_ms=T0_MS, for_ms=3_600_000, assets=("B-1",))
PEOPLE = (VIEWER, OPERATOR, ADMIN)


@pytest.fixture
def staffed(tmp_path):
    return Staffed(tmp_path)


def calls(staffed, deeds):
    """Deed -> how it is done, by a person, for a reason."""
    first, _, third = staffed.references()
    one, two, _ = staffed.incidents()
    text = OWN_RULES.replace("80%", "85%")
    return {
        Deed.APPROVE: lambda who, why: deeds.approve(who, first, why),
        Deed.HOLD: lambda who, why: deeds.hold(who, third, why),
        Deed.RETRY: lambda who, why: deeds.retry(who, first, why),
        Deed.LINK: lambda who, why: deeds.link(who, one, "4711", why),
        Deed.MERGE: lambda who, why: deeds.merge(who, two, one, why),
        Deed.SPLIT: lambda who, why: deeds.split(who, one, why),
        Deed.REOPEN: lambda who, why: deeds.reopen(who, one, why),
        Deed.SILENCE: lambda who, why: deeds.silence(who, WINDOW, why),
        Deed.END_SILENCE: lambda who, why: deeds.end_silence(who, 1, why),
        Deed.STOP_FILING: deeds.stop_filing,
        Deed.RESUME_FILING: deeds.resume_filing,
        Deed.ADOPT: lambda who, why: deeds.adopt(who, "stranger-7", "B-7", why),
        Deed.RELOAD: deeds.reload,
        Deed.PROMOTE: lambda who, why: deeds.promote(who, "slow_bin", why),
        Deed.SHADOW: lambda who, why: deeds.shadow(who, "slow_bin", why),
        Deed.SAVE_RULE: lambda who, why: deeds.save_rule(
            who, str(staffed.rule_file), text, hash_of(OWN_RULES), why
        ),
    }


def everything_of(staffed):
    tables = ("outbox", "orders", "incidents", "deliveries", "silences", "meta")
    queries = [f"SELECT * FROM {table}" for table in tables]
    files = [path.read_bytes() for path in (staffed.assets, staffed.rule_file)]
    return [staffed.rows(query) for query in queries], files


# -- who and why ----------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", Deed)
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role)
def test_each_deed_is_for_its_role_and_those_above_it(staffed, deed, person):
    """Whoever may not, changes nothing; all who tried stand in the log."""
    before = everything_of(staffed)
    outcome = calls(staffed, staffed.deeds())[deed](person, "a reason")
    allowed = list(Role).index(person.role) >= list(Role).index(NEEDS[deed].role)
    assert (outcome.code is not Code.NOT_ALLOWED) == allowed
    if not allowed:
        assert everything_of(staffed) == before
        assert not outcome.done
    assert [(who, what) for who, what, _ in staffed.audit()] == [(person.name, deed)]


def test_the_table_of_roles_names_every_deed_and_gives_viewers_none():
    """And admins alone stop all filing or touch rules."""
    assert set(NEEDS) == set(Deed)
    for_admins = {deed for deed, need in NEEDS.items() if need.role is Role.ADMIN}
    assert for_admins == {
        Deed.STOP_FILING, Deed.RESUME_FILING, Deed.RELOAD, Deed.PROMOTE, Deed.SHADOW,
        Deed.SAVE_RULE,
    }  # fmt: skip
    assert not any(need.role is Role.VIEWER for need in NEEDS.values())


@pytest.mark.parametrize("why", ["", "  \n ", "x" * (WHY_CHARS_MAX + 1), "a\x00b", "half \ud800"])
@pytest.mark.parametrize("deed", [deed for deed, need in NEEDS.items() if need.why])
def test_what_changes_what_the_city_gets_needs_a_reason_that_can_be_read(staffed, deed, why):
    """Without one nothing happens, and that it was tried is kept on one line."""
    before = everything_of(staffed)
    outcome = calls(staffed, staffed.deeds())[deed](ADMIN, why)
    assert outcome.code is Code.INVALID
    assert "why" in outcome.text
    assert everything_of(staffed) == before
    (entry,) = audit_of(staffed.books).entries
    assert (entry.code, len(entry.why.splitlines()) <= 1) == ("invalid", True)


@pytest.mark.parametrize("deed", [deed for deed, need in NEEDS.items() if not need.why])
def test_a_reason_is_not_asked_for_where_nothing_new_goes_to_the_city(staffed, deed):
    """Approve, retry, adopt, reload."""
    assert calls(staffed, staffed.deeds())[deed](ADMIN, "").code is not Code.INVALID


def test_too_many_deeds_of_one_person_are_refused_for_a_minute(staffed):
    """The others go on, and the log does not grow by it."""
    deeds = staffed.deeds(per_minute_max=3)
    for _ in range(5):
        last = deeds.retry(VIEWER, "SCG-none")
    assert last.code is Code.TOO_MANY
    assert deeds.retry(OPERATOR, "SCG-none").code is Code.NOT_FOUND
    assert len(staffed.audit()) == 4
    staffed.clock.ms += MINUTE_MS
    assert deeds.retry(VIEWER, "SCG-none").code is Code.NOT_ALLOWED


# -- requests -------------------------------------------------------------------------------------


def test_a_request_that_waits_goes_once(staffed):
    """The second time it does not wait any more; both stand in the log."""
    reference = staffed.references()[0]
    staffed.divert(reference)
    deeds = staffed.deeds(Via.CONSOLE)
    first, second = deeds.approve(OPERATOR, reference), deeds.approve(OPERATOR, reference)
    assert (first.done, first.told) == (True, {"reference": reference, "state": "ready"})
    assert (second.code, "does not wait for approval" in second.text) == (Code.REFUSED, True)
    assert [code for _, _, code in staffed.audit()] == ["done", "refused"]
    (refused, done) = audit_of(staffed.books).entries
    assert (done.via, done.subject, done.role) == ("console", reference, "operator")
    assert refused.text == second.text


def test_of_many_who_approve_at_once_one_does(staffed):
    """Whoever comes second is told, and the request is let pass once."""
    reference = staffed.references()[0]
    staffed.divert(reference)
    deeds, outcomes, start = staffed.deeds(), [], threading.Barrier(6)

    def approve():
        start.wait()
        outcomes.append(deeds.approve(OPERATOR, reference))

    threads = [threading.Thread(target=approve) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.code for outcome in outcomes) == ["done"] + ["refused"] * 5
    steps = "SELECT event FROM deliveries WHERE event = 'approved'"
    assert len(staffed.rows(steps)) == 1
    assert sorted(code for _, _, code in staffed.audit()) == ["done"] + ["refused"] * 5


def test_a_request_is_kept_back_with_who_and_why(staffed):
    """Whoever looks at the request reads it there; then it can be approved."""
    reference, deeds = staffed.references()[1], staffed.deeds()
    assert deeds.hold(OPERATOR, reference, "crew is\nthere").told["state"] == "review"
    (row,) = staffed.rows("SELECT reason FROM outbox WHERE state = 'review'")
    assert row["reason"] == "kept back by the-operator: crew is there"
    assert deeds.approve(OPERATOR, reference).done


def test_a_request_that_may_be_at_the_city_is_not_sent_again_by_hand(staffed):
    """Filed is filed."""
    reference, deeds = staffed.references()[0], staffed.deeds()
    staffed.file(reference)
    for outcome in (
        deeds.retry(OPERATOR, reference),
        deeds.approve(OPERATOR, reference),
        deeds.hold(OPERATOR, reference, "late"),
        deeds.link(OPERATOR, staffed.incidents()[0], "4711", "theirs"),
    ):
        assert outcome.code is Code.REFUSED
        assert "filed" in outcome.text


def test_an_incident_is_linked_to_the_request_that_the_city_has(staffed):
    """It is followed, and none is filed."""
    staffed.divert(staffed.references()[0])
    outcome = staffed.deeds().link(OPERATOR, staffed.incidents()[0], " 4711 ", "a resident called")
    assert outcome.told["state"] == "filed"
    (row,) = staffed.rows("SELECT request_id, reason FROM outbox WHERE state = 'filed'")
    assert row == {"request_id": "4711", "reason": "linked to 4711 by the-operator"}


@pytest.mark.parametrize("request_id", ["", " ", "x" * 201, "47\x0011", "4\ud800"])
def test_a_number_of_the_city_that_cannot_be_one_is_refused(staffed, request_id):
    """Nothing is linked."""
    outcome = staffed.deeds().link(OPERATOR, staffed.incidents()[0], request_id, "because")
    assert outcome.code is Code.INVALID


def test_an_incident_in_shadow_has_nothing_to_link(staffed):
    """It asked nothing of the city."""
    (number, *_) = staffed.incidents("slow_bin")
    outcome = staffed.deeds().link(OPERATOR, number, "4711", "because")
    assert (outcome.code, "asked nothing" in outcome.text) == (Code.REFUSED, True)


# -- incidents and silences -----------------------------------------------------------------------


def test_an_order_waits_for_a_gateway_that_does_not_run_and_its_answer_is_found_in_the_log(staffed):
    """It does not keep anybody waiting, and is carried out once, when the gateway comes."""
    one, two, _ = staffed.incidents()
    began_s = time.monotonic()
    outcome = staffed.deeds().merge(OPERATOR, two, one, "one bin, two names")
    assert time.monotonic() - began_s < 3
    assert (outcome.code, outcome.done) == (Code.WAITING, False)
    assert audit_of(staffed.books).entries[0].code == "waiting"
    staffed.carry_out()
    (entry,) = audit_of(staffed.books).entries
    assert (entry.code, entry.text) == ("done", f"incident {two} is part of {one}")


@pytest.mark.parametrize("number", [99, 0, -1, NUMBER_MAX, NUMBER_MAX + 1, 10**30])
def test_an_incident_that_is_not_there_is_not_found(staffed, number):
    """Whatever its number, and no order is given."""
    deeds, (one, *_) = staffed.deeds(), staffed.incidents()
    for outcome in (
        deeds.merge(OPERATOR, one, number, "w"),
        deeds.merge(OPERATOR, number, one, "w"),
        deeds.split(OPERATOR, number, "w"),
        deeds.reopen(OPERATOR, number, "w"),
        deeds.link(OPERATOR, number, "1", "w"),
        deeds.end_silence(OPERATOR, number, "w"),
    ):
        assert outcome.code is Code.NOT_FOUND
    assert staffed.rows("SELECT * FROM orders") == []


def test_an_incident_is_not_merged_into_itself(staffed):
    """It is told at once, and no order is given."""
    one = staffed.incidents()[0]
    outcome = staffed.deeds().merge(OPERATOR, one, one, "w")
    assert (outcome.code, outcome.text) == (Code.INVALID, "an incident is not merged into itself")
    assert staffed.rows("SELECT * FROM orders") == []


def test_a_window_carries_who_asked_for_it_and_why(staffed):
    """Not who the caller says it is."""
    forged = with_fields(WINDOW, who="somebody else", why="no")
    staffed.deeds().silence(OPERATOR, forged, " works ")
    staffed.carry_out()
    (row,) = staffed.rows("SELECT silence FROM silences")
    assert '"who":"the-operator","why":"works"' in row["silence"]
    assert staffed.deeds().end_silence(OPERATOR, 1, "over").code is Code.WAITING


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"repeat": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL"),
        ({"repeat": "FREQ=DAILY;INTERVAL=99999999999999999999"}, "INTERVAL"),
        ({"repeat": "FREQ=DAILY;INTERVAL=1;INTERVAL=0"}, "INTERVAL"),
        ({"repeat": "FREQ=DAILY;COUNT=" + "9" * 300}, "repeat"),
        ({"repeat": "nonsense"}, "RFC 5545"),
        ({"from_ms": -1}, "begins"),
        ({"from_ms": 10**18}, "begins"),
        ({"for_ms": 0}, "lasts"),
        ({"assets": ()}, "say what is silent"),
        ({"assets": ("x",) * 1001}, "at most 1000"),
        ({"zones": ("a\x00",)}, "control"),
        ({"rules": ("",)}, "empty"),
        ({"within": ((91.0, 0.0), (1.0, 1.0), (2.0, 2.0))}, "off the earth"),
        ({"within": ((float("nan"), 0.0), (1.0, 1.0), (2.0, 2.0))}, "off the earth"),
        ({"within": ((1.0, 1.0), (2.0, 2.0))}, "polygon"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
    ],
)
def test_a_window_that_cannot_be_is_refused_in_words(staffed, change, word):
    """No order is given: the gateway never sees it."""
    outcome = staffed.deeds().silence(OPERATOR, with_fields(WINDOW, **change), "works")
    assert outcome.code is Code.INVALID
    assert word in outcome.text
    assert staffed.rows("SELECT * FROM orders") == []


@pytest.mark.parametrize(
    "repeat", ["", "FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=2", "FREQ=DAILY;COUNT=3"]
)
def test_a_window_that_can_be_has_no_fault(repeat):
    """Also one that comes again."""
    assert faults_of_window(with_fields(WINDOW, who="a", why="b", repeat=repeat)) == []


# -- all filing -----------------------------------------------------------------------------------


def test_filing_is_stopped_and_resumed_once_each(staffed):
    """The one who stopped it first stays the one who did."""
    deeds = staffed.deeds()
    assert deeds.resume_filing(ADMIN, "go").code is Code.REFUSED
    assert deeds.stop_filing(ADMIN, "storm").done
    again = deeds.stop_filing(replace(ADMIN, name="another"), "me too")
    assert (again.code, "the-admin: storm" in again.text) == (Code.REFUSED, True)
    assert staffed.rows("SELECT value FROM meta WHERE key = 'stopped'") == [
        {"value": "by the-admin: storm"}
    ]
    assert deeds.resume_filing(ADMIN, "over").done
    assert deeds.resume_filing(ADMIN, "over").code is Code.REFUSED


# -- devices --------------------------------------------------------------------------------------


def test_a_device_is_adopted_in_the_asset_file_and_nothing_else_changes(staffed):
    """Its messages are the asset's with the next reload."""
    before = staffed.assets.read_text()
    outcome = staffed.deeds().adopt(OPERATOR, "stranger-7", "B-7", "new")
    assert outcome.told["devices"] == ["bin-7", "stranger-7"]
    assert outcome.code is Code.WAITING
    assert staffed.assets.read_text() == before.replace('["bin-7"]', '["bin-7", "stranger-7"]')
    (entry,) = audit_of(staffed.books).entries
    assert (entry.code, entry.subject) == ("waiting", "stranger-7 for B-7")
    assert "speaks for B-7" in entry.text


@pytest.mark.parametrize(
    ("device", "asset", "code"),
    [
        ("nobody", "B-7", Code.NOT_FOUND),
        ("stranger-7", "B-99", Code.NOT_FOUND),
        ("bin-1", "B-7", Code.REFUSED),
        ("", "B-7", Code.INVALID),
        ("stranger-7", "x" * 300, Code.INVALID),
        ("stranger-7\x00", "B-7", Code.INVALID),
    ],
)
def test_a_device_that_cannot_be_adopted_is_refused(staffed, device, asset, code):
    """The file is as it was."""
    before = staffed.assets.read_bytes()
    assert staffed.deeds().adopt(OPERATOR, device, asset).code is code
    assert staffed.assets.read_bytes() == before


def test_an_operator_who_adopts_puts_no_changed_rules_in_force(staffed):
    """Rules are for admins: the asset waits for their reload."""
    staffed.rule_file.write_text(OWN_RULES.replace("80%", "85%"))
    outcome = staffed.deeds().adopt(OPERATOR, "stranger-7", "B-7")
    assert (outcome.code, "rule files have changed" in outcome.text) == (Code.WAITING, True)


# -- rules ----------------------------------------------------------------------------------------


def test_a_rule_is_promoted_and_put_back_in_its_own_file(staffed):
    """One word changes, and the rights of the file stay."""
    staffed.rule_file.chmod(0o640)
    deeds = staffed.deeds()
    assert deeds.promote(ADMIN, "slow_bin", "it found what we found").told["mode"] == "live"
    assert staffed.rule_file.read_text() == OWN_RULES.replace("mode: shadow", "mode: live")
    again = deeds.promote(ADMIN, "slow_bin", "again")
    assert "as its file said before" in again.text
    deeds.shadow(ADMIN, "slow_bin", "too many")
    assert staffed.rule_file.read_text() == OWN_RULES
    assert stat.S_IMODE(staffed.rule_file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("rule", "code"), [("nothing", Code.NOT_FOUND), ("bin_full", Code.REFUSED)]
)
def test_a_rule_that_is_not_there_or_not_ours_keeps_its_mode(staffed, rule, code):
    """Those that come with the project are never written."""
    assert staffed.deeds().shadow(ADMIN, rule, "because").code is code


def saved(staffed, text, *, file=None, was=OWN_RULES, deeds=None):
    deeds = deeds or staffed.deeds()
    return deeds.save_rule(ADMIN, file or str(staffed.rule_file), text, was and hash_of(was), "why")


def test_a_rule_file_is_saved_over_the_text_that_was_read(staffed):
    """With another text on the disk nothing is written."""
    staffed.rule_file.chmod(0o600)
    text = OWN_RULES.replace("80%", "85%")
    assert saved(staffed, text).code is Code.WAITING
    assert staffed.rule_file.read_text() == text
    assert stat.S_IMODE(staffed.rule_file.stat().st_mode) == 0o600
    late = saved(staffed, OWN_RULES.replace("80%", "90%"))
    assert (late.code, "was changed" in late.text) == (Code.CONFLICT, True)
    assert staffed.rule_file.read_text() == text


def test_of_two_who_save_at_once_one_does(staffed):
    """The other one is told that the file was changed."""
    outcomes, start, deeds = [], threading.Barrier(4), staffed.deeds()

    def save(high):
        text = OWN_RULES.replace("80%", f"{high}%")
        start.wait()
        outcomes.append(saved(staffed, text, deeds=deeds).code)

    threads = [threading.Thread(target=save, args=(80 + n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 3 + ["waiting"]


@pytest.mark.parametrize(
    "text",
    [
        OWN_RULES.replace("fill > high", "fil > high"),
        OWN_RULES.replace("slow_bin", "bin_full"),
        OWN_RULES.replace("service: BIN_FULL", "service: NO_SUCH_SERVICE"),
        OWN_RULES + "\x07",
        OWN_RULES.replace("Bin", "\ud800"),
        "x" * 300_000,
        "",
    ],
    ids=["misspelt", "twice", "unserved", "control", "surrogate", "too long", "empty"],
)
def test_a_rule_file_with_a_fault_is_not_saved(staffed, text):
    """Neither is one that would break another file, or that the city does not serve."""
    outcome = saved(staffed, text)
    assert outcome.code is Code.INVALID
    assert outcome.findings or "plain text" in outcome.text
    assert staffed.rule_file.read_text() == OWN_RULES
    assert list(staffed.folder.glob("*.new")) == []


@pytest.mark.parametrize(
    "file",
    [
        "bin.yaml", "../ours.yaml", "assets.geojson", "{}/../ours.yaml", "/etc/passwd", "",
        "{}/new.yaml", "ours.yaml\x00",
    ],
)  # fmt: skip
def test_only_files_that_the_configuration_names_are_written(staffed, file):
    """No path from outside leads anywhere else."""
    outcome = saved(staffed, OWN_RULES, file=file.format(staffed.folder) or ".", was="")
    assert outcome.code is Code.REFUSED
    assert not (staffed.folder / "new.yaml").exists()


def test_a_new_file_is_made_in_a_folder_that_the_configuration_names(tmp_path):
    """Under a plain name that is not taken; no link is followed."""
    folder = tmp_path / "more"
    folder.mkdir()
    staffed = Staffed(tmp_path, rules="", more_files='"more"')
    text = OWN_RULES.replace("slow_bin", "slower_bin")
    made = saved(staffed, text, file=str(folder / "own.yaml"), was="")
    assert (made.code, (folder / "own.yaml").read_text()) == (Code.WAITING, text)
    taken = saved(staffed, text, file=str(folder / "own.yaml"), was="")
    assert (taken.code, "is there already" in taken.text) == (Code.CONFLICT, True)
    (folder / "link.yaml").symlink_to(staffed.rule_file)
    for name in ("link.yaml", ".hidden.yaml", "own.txt", "a/b.yaml", "../up.yaml"):
        outcome = saved(staffed, text, file=f"{folder}/{name}", was="")
        assert outcome.code is Code.REFUSED, name


# -- what goes wrong ------------------------------------------------------------------------------


def test_without_books_a_deed_fails_in_words(staffed):
    """Nothing is raised."""
    for path in staffed.data.glob("sense311.db*"):
        path.unlink()
    outcome = staffed.deeds().approve(OPERATOR, "SCG-1")
    assert (outcome.code, "has the gateway run" in outcome.text) == (Code.FAILED, True)


def test_with_a_broken_configuration_a_deed_fails_in_words(staffed):
    """And says which command tells more."""
    staffed.config.write_text("[city")
    outcome = staffed.deeds().approve(OPERATOR, "SCG-1")
    assert (outcome.code, "sense311 check" in outcome.text) == (Code.FAILED, True)


def test_too_many_orders_for_a_gateway_that_does_not_run_are_refused(staffed, monkeypatch):
    """Whoever gives more has not looked."""
    monkeypatch.setattr("gateway.books.by_hand.WAITING_MAX", 2)
    deeds, (one, two, three) = staffed.deeds(), staffed.incidents()
    codes = [deeds.merge(OPERATOR, two, one, "w").code for _ in range(3)]
    assert codes == [Code.WAITING, Code.WAITING, Code.REFUSED]
    assert deeds.split(OPERATOR, three, "w").code is Code.REFUSED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(max_size=300), why=st.text(max_size=600), subject=st.text(max_size=400))
def test_whatever_is_said_is_answered_and_kept_on_one_line(staffed, name, why, subject):
    """Names, reasons and references of any characters."""
    before = len(staffed.audit())
    deeds = Deeds(staffed.books, Via.API, per_minute_max=10**9)
    outcome = deeds.hold(Person(name, Role.ADMIN), subject, why)
    assert outcome.code in (Code.INVALID, Code.NOT_FOUND)
    entry = audit_of(staffed.books).entries[0]
    assert len(staffed.audit()) == before + 1
    for text in (entry.who, entry.why, entry.subject, entry.text):
        assert len(text.splitlines()) <= 1
        assert text == kept(text, 500)


@pytest.mark.slow
def test_a_running_gateway_carries_out_what_is_asked(bundled_broker, desk, a_gateway):
    """Approved and seen at the city, merged, silenced, reloaded: each answered as done."""
    from gateway.views.books import Books

    gateway = a_gateway(bundled_broker, desk=desk, more='[filing]\nmode = "approve"\n[console]\n')
    gateway.start()
    client = bundled_broker.login()
    for minute in (0, 10, 20, 30, 40):
        for number in (1, 2, 3):
            at = f"2026-01-15T05:{minute:02}:00Z"
            body = {"ts": at, "boot": 1, "seq": minute + 1, "values": {"fill_pct": 95}}
            client.say(f"city/v1/z/bin/bin-{number}/telemetry", body)
    wait_until(lambda: gateway.count("outbox") == 3, "three requests wait")
    rows = gateway.query("SELECT reference, incident_id FROM outbox ORDER BY incident_id")
    (first, one), (_, two), _ = rows
    deeds = Deeds(Books(gateway.config), Via.CONSOLE)
    assert deeds.approve(OPERATOR, first, "seen").done
    wait_until(desk.filed, "the city has it")
    assert deeds.merge(OPERATOR, two, one, "the same bin").done
    window = with_fields(WINDOW, from_ms=int(time.time() * 1000))
    assert deeds.silence(OPERATOR, window, "works").done
    assert deeds.end_silence(OPERATOR, 99, "none").code is Code.NOT_FOUND
    assert deeds.reload(ADMIN, "to be sure").done
    assert deeds.stop_filing(ADMIN, "enough").done
    assert len(desk.filed()) == 1
    codes = gateway.query("SELECT DISTINCT state FROM orders")
    assert codes == [("done",)]
