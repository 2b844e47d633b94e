"""Who may enter: passwords and tokens in the file of accounts, and sessions that begin there."""

import hashlib
import json
import logging
import multiprocessing
import threading
import time

import pytest
from argon2 import PasswordHasher
from conftest import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.staff import accounts as room
from gateway.staff import passwords
from gateway.staff.accounts import (
    FAILURES_MAX,
    FAILURES_MS,
    IN_LINE_MAX,
    Accounts,
    NotLetIn,
    Standing,
)
from gateway.staff.passwords import fits, hashed, new_password, weakness
from gateway.staff.people import Person, Role
from gateway.web import sessions as cookies
from gateway.web.sessions import COOKIE, SESSIONS_MAX, Sessions

NOW_MS = 1_768_453_200_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CANARY = "canary-password-9d2c"


@pytest.fixture
def dear():
    """Passwords cost what they cost in service."""


@pytest.fixture(autouse=True)
def cheap(request, monkeypatch):
    """Unless a test is about that, they cost little."""
    if "dear" not in request.fixturenames:
        nobody = passwords._NOBODY.replace("m=65536,t=3", "m=8,t=1")
        monkeypatch.setattr(passwords, "_NOBODY", nobody)
        monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(1, 8, 1))


@pytest.fixture
def accounts(tmp_path):
    return Accounts(tmp_path / "data")


@pytest.fixture
def ana(accounts):
    """She is an operator."""
    accounts.add_user("ana", Role.OPERATOR, NOW_MS, CANARY)
    return accounts


def file_of(accounts):
    return accounts._path


def refusal_of(call, *words, **more):
    with pytest.raises(ConfigError) as refused:
        call(*words, **more)
    return str(refused.value)


# -- people ----------------------------------------------------------------------------------------


def test_who_has_the_password_is_let_in(ana):
    """In the role that stands there; big letters and blanks around the name are a telephone's."""
    assert ana.sign_in("ana", CANARY, NOW_MS) == Person("ana", Role.OPERATOR)
    assert ana.sign_in(" Ana ", CANARY, NOW_MS) == Person("ana", Role.OPERATOR)
    assert ana.sign_in("ana", CANARY + "x", NOW_MS) is NotLetIn.WRONG
    assert ana.sign_in("ana", "", NOW_MS) is NotLetIn.WRONG
    assert ana.sign_in("bob", CANARY, NOW_MS) is NotLetIn.WRONG
    assert ana.sign_in("token:ana", CANARY, NOW_MS) is NotLetIn.WRONG


@pytest.mark.parametrize("password", ["\ud800", "\0", "x" * 1025, "ﷺ" * 1024])
def test_no_password_brings_it_down(ana, password):
    """Halves of characters, nothing, and far too much."""
    assert ana.sign_in("ana", password, NOW_MS) is NotLetIn.WRONG


def test_letters_may_be_composed_either_way(accounts):
    """One keyboard sends é, another e and its accent."""
    accounts.add_user("ana", Role.VIEWER, NOW_MS, "caf\u00e9-del-mar")
    assert accounts.sign_in("ana", "cafe\u0301-del-mar", NOW_MS) == Person("ana", Role.VIEWER)


def test_a_password_that_is_made_is_long_and_can_be_read():
    """118 bits of letters that do not look alike; each another."""
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        assert [len(group) for group in password.split("-")] == [4] * 6
        assert not set(password) & set("0o1lIO")
        assert weakness("ana", password) == ""


def test_no_name_makes_a_new_password_impossible(accounts):
    """Though each letter of some is that name."""
    for name in "abcdefgh":
        accounts.add_user(name, Role.VIEWER, NOW_MS)
    assert len(accounts.users()) == 8


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("x" * 11, "fewer than 12"), ("x" * 1025, "more than 1024"), ("abababababab", "easy"),
        ("Ana-ana-ana-12", "easy"), ("correct horse battery", ""), ("banana-canary-1", ""),
    ],
)  # fmt: skip
def test_a_password_of_ones_own_is_looked_at(password, told):
    """Short, repeated, or little but the name."""
    assert told in weakness("ana", password)
    assert bool(weakness("ana", password)) == bool(told)


def test_it_takes_as_long_whether_or_not_the_name_is_there(dear, ana):
    """Who guesses does not learn who works here: both are hashed, once each."""
    seconds = {"ana": [], "nobody": []}
    for _ in range(3):
        for name, taken in seconds.items():
            start = time.thread_time()
            assert ana.sign_in(name, "not the password", NOW_MS) is NotLetIn.WRONG
            taken.append(time.thread_time() - start)
    known, unknown = (min(taken) for taken in seconds.values())
    assert 0.5 < known / unknown < 2
    assert unknown > 0.005


def test_a_role_and_a_password_change_and_end(ana):
    """Each at once."""
    ana.set_role("ana", Role.ADMIN)
    assert ana.sign_in("ana", CANARY, NOW_MS) == Person("ana", Role.ADMIN)
    made = ana.set_password("ana")
    assert ana.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG
    assert ana.sign_in("ana", made, NOW_MS) == Person("ana", Role.ADMIN)
    ana.end_user("ana")
    assert ana.sign_in("ana", made, NOW_MS) is NotLetIn.WRONG
    assert ana.users() == []


@pytest.mark.parametrize("name", ["", "Ana", "a b", "token:x", "../x", "a" * 65, "ä", "-a", "a\n"])
def test_a_name_that_cannot_be_is_refused(accounts, name):
    """And nothing is written."""
    told = refusal_of(accounts.add_user, name, Role.VIEWER, NOW_MS)
    assert "is not a name" in told
    assert not file_of(accounts).exists()


def test_what_is_there_or_is_not_is_said(ana):
    """Twice the same person, and one that nobody knows; a weak password changes nothing."""
    before = file_of(ana).read_bytes()
    assert "there is a ana already" in refusal_of(ana.add_user, "ana", Role.ADMIN, NOW_MS)
    for call in (ana.end_user, ana.end_token, ana.set_password):
        assert "there is no 'bob'" in refusal_of(call, "bob")
    assert "fewer than 12" in refusal_of(ana.set_password, "ana", "short")
    assert file_of(ana).read_bytes() == before


def test_there_is_a_limit(ana, monkeypatch):
    """Of people, and of tokens."""
    monkeypatch.setattr(room, "EACH_MAX", 1)
    assert "there are 1 already" in refusal_of(ana.add_user, "bob", Role.VIEWER, NOW_MS)
    ana.add_token("bob", Role.VIEWER, NOW_MS)


# -- who tries too often ---------------------------------------------------------------------------


def failing(accounts, name, times, now_ms=NOW_MS):
    return [accounts.sign_in(name, "wrong password", now_ms) for _ in range(times)]


@pytest.mark.parametrize("name", ["ana", "nobody", "no name at all"])
def test_a_name_that_was_wrong_too_often_waits(ana, name):
    """Whether or not it is somebody's; the others do not wait."""
    assert failing(ana, name, FAILURES_MAX + 1) == [NotLetIn.WRONG] * 5 + [NotLetIn.WAITS]
    assert ana.sign_in("bob", "wrong password", NOW_MS) is NotLetIn.WRONG


def test_who_waits_is_not_let_in_with_the_right_password_either(ana):
    """Until five minutes have passed; then the count begins anew."""
    failing(ana, "ana", FAILURES_MAX)
    assert ana.sign_in("ana", CANARY, NOW_MS + FAILURES_MS - 1) is NotLetIn.WAITS
    assert ana.sign_in("ana", CANARY, NOW_MS + FAILURES_MS) == Person("ana", Role.OPERATOR)
    assert failing(ana, "ana", 1, NOW_MS + FAILURES_MS) == [NotLetIn.WRONG]


def test_who_was_let_in_begins_anew(ana):
    """Four mistakes in the morning do not count at noon."""
    failing(ana, "ana", FAILURES_MAX - 1)
    assert isinstance(ana.sign_in("ana", CANARY, NOW_MS), Person)
    assert failing(ana, "ana", FAILURES_MAX) == [NotLetIn.WRONG] * FAILURES_MAX


def test_a_clock_that_is_set_back_locks_nobody_out(ana):
    """What has not been yet is no failure."""
    failing(ana, "ana", FAILURES_MAX, NOW_MS + DAY_MS)
    assert isinstance(ana.sign_in("ana", CANARY, NOW_MS), Person)


def test_what_is_remembered_of_names_is_bounded(monkeypatch):
    """The oldest are forgotten; the last stay."""
    monkeypatch.setattr(room, "NAMES_MAX", 10)
    failures = room._Failures()
    for number in range(100):
        for _ in range(FAILURES_MAX):
            failures.add(f"n{number}", NOW_MS)
    assert len(failures._at_ms) == 10
    assert all(len(at) == FAILURES_MAX for at in failures._at_ms.values())
    assert failures.too_many("n99", NOW_MS)


def test_many_at_once_get_no_more_tries(ana):
    """They are tried one after the other, and who finds too many in line is told so."""
    found = []
    threads = [threading.Thread(target=lambda: found.extend(failing(ana, "ana", 1)))
               for _ in range(40)]  # fmt: skip
    with ana._door:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(found) == 40 - IN_LINE_MAX, "the others are sent away")
        assert set(found) == {NotLetIn.BUSY}
    for thread in threads:
        thread.join()
    assert (found.count(NotLetIn.WRONG), found.count(NotLetIn.WAITS)) == (5, 3)


# -- programs --------------------------------------------------------------------------------------


def test_a_token_is_somebody_until_it_expires(accounts):
    """Under a name that no person can have."""
    text, token = accounts.add_token("dispatch", Role.OPERATOR, NOW_MS, days=2)
    assert token.expires_ms == NOW_MS + 2 * DAY_MS
    assert accounts.by_token(text, NOW_MS) == Person("token:dispatch", Role.OPERATOR)
    assert isinstance(accounts.by_token(text, token.expires_ms - 1), Person)
    assert accounts.by_token(text, token.expires_ms) is NotLetIn.EXPIRED
    accounts.end_token("dispatch")
    assert accounts.by_token(text, NOW_MS) is NotLetIn.UNKNOWN


def test_a_token_is_random_and_long(accounts):
    """256 bits, and its kind can be seen."""
    made = {accounts.add_token(f"t{n}", Role.VIEWER, NOW_MS)[0] for n in range(20)}
    assert len(made) == 20
    assert all(text.startswith("s311_") and len(text) == 48 for text in made)


@given(text=st.one_of(st.text(), st.from_regex(r"s311_[A-Za-z0-9_-]{43}", fullmatch=True)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_else_is_no_token(accounts, text):
    """Whatever a program sends."""
    assert accounts.by_token(text, NOW_MS) is NotLetIn.UNKNOWN


def test_a_hash_is_no_token(ana):
    """Who reads the file cannot enter with what stands there."""
    text, _ = ana.add_token("dispatch", Role.ADMIN, NOW_MS)
    kept = json.loads(file_of(ana).read_bytes())
    hash_ = kept["users"]["ana"]["hash"]
    assert kept["tokens"]["dispatch"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    for shown in (kept["tokens"]["dispatch"]["sha256"], hash_):
        assert ana.by_token(shown, NOW_MS) is NotLetIn.UNKNOWN
        assert ana.sign_in("ana", shown, NOW_MS) is NotLetIn.WRONG


@pytest.mark.parametrize("days", [0, -1, 366.1, float("inf"), float("nan")])
def test_no_token_is_good_for_ever(accounts, days):
    """Some days, a year at most."""
    assert "up to 366 days" in refusal_of(accounts.add_token, "x", Role.VIEWER, NOW_MS, days)


# -- the file --------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone_and_holds_no_secret(ana):
    """Hashes only; so does what is printed of it, and nothing else is left in the folder."""
    text, _ = ana.add_token("dispatch", Role.VIEWER, NOW_MS)
    path = file_of(ana)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for secret in (CANARY, text, text.removeprefix("s311_")):
        assert secret not in path.read_text()
    assert "argon2id" not in repr(ana._read())
    assert sorted(p.name for p in path.parent.iterdir()) == ["accounts.json", "changes.lock"]


def test_no_file_lets_nobody_in_and_is_no_fault(accounts):
    """Before the first person is added."""
    assert accounts.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG
    assert (accounts.users(), accounts.tokens(), accounts.problem()) == ([], [], "")
    assert accounts.standing("ana") is None


def test_a_change_by_another_process_counts_at_once(ana):
    """`sense311 users end ana` beside the running console."""
    other = Accounts(ana._folder)
    text, _ = other.add_token("dispatch", Role.VIEWER, NOW_MS)
    assert ana.by_token(text, NOW_MS) == Person("token:dispatch", Role.VIEWER)
    other.end_user("ana")
    assert ana.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG
    file_of(ana).unlink()
    assert ana.by_token(text, NOW_MS) is NotLetIn.UNKNOWN


BROKEN = [
    (b"", "is no file of accounts"),
    (b"{", "is no file of accounts"),
    (b"[" * 100_000, "is no file of accounts"),
    (b"\xff\xfe", "is no file of accounts"),
    (b"[]", "is no file of accounts"),
    (b'{"version": 2}', "version"),
    (b'{"users": {"ana": {"role": "root", "since_ms": 1, "hash": "x"}}}', "users.ana.role"),
    (b'{"users": {"ana": {"role": "admin", "since_ms": 1, "hash": "canary-hash"}}}', "hash"),
    (b'{"users": {"A B": {"role": "admin", "since_ms": 1, "hash": "$argon2id$x"}}}', "users"),
    (b'{"tokens": {"t": {"role": "admin", "since_ms": 1, "sha256": "canary-hash"}}}', "tokens.t"),
    (b" " * (room.FILE_BYTES_MAX + 1), "larger than 4 MiB"),
]


@pytest.mark.parametrize(("content", "told"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_lets_nobody_in_and_says_why(ana, caplog, content, told):
    """In the log once, and never what stands in it; what is broken is not overwritten."""
    text, _ = ana.add_token("dispatch", Role.VIEWER, NOW_MS)
    file_of(ana).write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert ana.sign_in("ana", CANARY, NOW_MS) is NotLetIn.CLOSED
        assert ana.by_token(text, NOW_MS) is NotLetIn.CLOSED
        assert ana.standing("ana") is None
    assert [record.name for record in caplog.records] == ["gateway.staff.accounts"]
    for shown in (caplog.text, ana.problem(), refusal_of(ana.add_user, "b", Role.VIEWER, NOW_MS)):
        assert told in shown
        assert "help:" in shown
        assert "canary" not in shown.replace(str(file_of(ana)), "")
    assert file_of(ana).read_bytes() == content


def test_a_hash_that_is_none_fits_nothing(ana):
    """It looks like one and cannot be computed with."""
    kept = json.loads(file_of(ana).read_bytes())
    kept["users"]["ana"]["hash"] = "$argon2id$v=19$nonsense"
    file_of(ana).write_text(json.dumps(kept))
    assert ana.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_file_that_others_reach_lets_nobody_in_until_it_is_closed(ana, mode):
    """Who may change it could let himself in; chmod mends it without a restart."""
    file_of(ana).chmod(mode)
    assert ana.sign_in("ana", CANARY, NOW_MS) is NotLetIn.CLOSED
    assert f"chmod 600 {file_of(ana)}" in ana.problem()
    file_of(ana).chmod(0o600)
    assert ana.sign_in("ana", CANARY, NOW_MS) == Person("ana", Role.OPERATOR)


def test_a_folder_in_its_place_is_a_fault_with_a_name(accounts):
    """Never a traceback."""
    file_of(accounts).mkdir(parents=True)
    file_of(accounts).chmod(0o700)
    assert accounts.sign_in("ana", CANARY, NOW_MS) is NotLetIn.CLOSED
    assert "Is a directory" in accounts.problem()


def add_some(folder, who):
    accounts = Accounts(folder)
    for number in range(15):
        accounts.add_token(f"{who}-{number}", Role.VIEWER, NOW_MS)


def test_two_who_write_at_a_time_lose_nothing(tmp_path):
    """Each in a process of its own."""
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=add_some, args=(tmp_path, who)) for who in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(Accounts(tmp_path).tokens()) == 45


# -- sessions --------------------------------------------------------------------------------------

OPERATOR = Person("ana", Role.OPERATOR)


class Register:
    """Who there is, by hand."""

    def __init__(self):
        self.people = {"ana": Standing(Role.OPERATOR, "1")}

    def standing(self, name):
        return self.people.get(name)


@pytest.fixture
def register():
    return Register()


def test_a_session_lasts_its_hours(register):
    """And not a moment more."""
    sessions = Sessions(register, 12)
    cookie = sessions.begin(OPERATOR, NOW_MS)
    assert sessions.who(cookie, NOW_MS + 12 * HOUR_MS - 1) == OPERATOR
    assert sessions.who(cookie, NOW_MS + 12 * HOUR_MS) is None
    assert sessions.who(cookie, NOW_MS) is None
    assert sessions.seconds == 43_200


@pytest.mark.parametrize(
    "after",
    [
        None,
        Standing(Role.VIEWER, "1"),
        Standing(Role.ADMIN, "1"),
        Standing(Role.OPERATOR, "2"),
    ],
)
def test_a_session_ends_when_its_person_changes(register, after):
    """Removed, another role, another password; it does not come back when that is undone."""
    sessions = Sessions(register, 12)
    cookie = sessions.begin(OPERATOR, NOW_MS)
    before, register.people["ana"] = register.people["ana"], after
    assert sessions.who(cookie, NOW_MS) is None
    register.people["ana"] = before
    assert sessions.who(cookie, NOW_MS) is None


def test_sessions_end_with_the_accounts_on_disk(ana):
    """A real file, changed beside the console."""
    sessions = Sessions(ana, 12)
    cookie = sessions.begin(OPERATOR, NOW_MS)
    assert sessions.who(cookie, NOW_MS) == OPERATOR
    Accounts(ana._folder).set_password("ana")
    assert sessions.who(cookie, NOW_MS) is None
    cookie = sessions.begin(OPERATOR, NOW_MS)
    Accounts(ana._folder).end_user("ana")
    Accounts(ana._folder).add_user("ana", Role.OPERATOR, NOW_MS)
    assert sessions.who(cookie, NOW_MS) is None


def test_a_session_is_ended_by_its_own_cookie_only(register):
    """The other browser of the same person stays signed in."""
    sessions = Sessions(register, 12)
    here, there = sessions.begin(OPERATOR, NOW_MS), sessions.begin(OPERATOR, NOW_MS)
    sessions.end(here)
    assert (sessions.who(here, NOW_MS), sessions.who(there, NOW_MS)) == (None, OPERATOR)
    for strange in (None, "", "x", "\ud800", there[:-1], there.upper()):
        sessions.end(strange)
        assert sessions.who(strange, NOW_MS) is None
    assert len(sessions) == 1


def test_the_oldest_sessions_go(register):
    """Memory is bounded."""
    sessions = Sessions(register, 12)
    begun = [sessions.begin(OPERATOR, NOW_MS) for _ in range(SESSIONS_MAX + 5)]
    assert len(set(begun)) == len(begun)
    assert len(sessions) == SESSIONS_MAX
    assert [sessions.who(cookie, NOW_MS) for cookie in begun[:5]] == [None] * 5
    assert all(sessions.who(cookie, NOW_MS) for cookie in begun[5:])


def test_what_is_kept_of_a_session_opens_none(register):
    """Nor is the cookie's value in what is printed of it."""
    sessions = Sessions(register, 12)
    cookie = sessions.begin(OPERATOR, NOW_MS)
    (kept,) = sessions._sessions
    assert sessions.who(kept, NOW_MS) is None
    assert cookie not in repr(sessions._sessions)


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites():
    """Secure where the browser came by https."""
    told = cookies.set_cookie("v", 60, secure=False).split("; ")
    assert told == [f"{COOKIE}=v", "Max-Age=60", "Path=/", "HttpOnly", "SameSite=Lax"]
    assert cookies.set_cookie("v", 60, secure=True).endswith("; Secure")
    assert cookies.drop_cookie(secure=False).startswith(f"{COOKIE}=; Max-Age=0; ")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (f"{COOKIE}=abc", "abc"), (f"a=b; {COOKIE}=abc;c=d", "abc"), (f"x{COOKIE}=abc", None),
        (f"{COOKIE}=", None), ("", None), (";;=;", None), (f"{COOKIE}={'x' * 9000}", None),
    ],
)  # fmt: skip
def test_the_cookie_is_found_among_others(header, value):
    """And nothing else is taken for it."""
    assert cookies.cookie_in([(b"host", b"x"), (b"Cookie", header.encode())]) == value


@pytest.mark.parametrize(
    ("scheme", "said", "secure"),
    [
        ("http", None, False), ("https", None, True), ("wss", None, True),
        ("http", b"https", True), ("http", b"HTTPS, http", True), ("https", b"http", False),
        ("http", b"", False),
    ],
)  # fmt: skip
def test_how_the_browser_came_is_what_the_server_before_says(scheme, said, secure):
    """It ends the encryption; here all arrive by http."""
    headers = [] if said is None else [(b"X-Forwarded-Proto", said)]
    assert cookies.is_secure(scheme, headers) is secure


def test_a_hash_is_another_each_time(dear):
    """Two who chose the same password cannot be told by the file."""
    first, second = hashed(CANARY), hashed(CANARY)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert fits(first, CANARY)
    assert fits(second, CANARY)
    assert not fits("", CANARY)
