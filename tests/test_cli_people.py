"""`sense311 users` and `sense311 tokens`: who may enter the console, changed beside it."""

import json
import logging

import pytest
from books import Books
from typer.testing import CliRunner

from gateway.cli import app
from gateway.staff.accounts import Accounts, NotLetIn
from gateway.staff.people import Person, Role

NOW_MS = 4_000_000_000_000
CANARY = "canary-password-77aa"


class City(Books):
    """A gateway's folder, commands in it, and its accounts as a running console sees them."""

    def __init__(self, folder):
        super().__init__(folder)
        self.accounts = Accounts(folder / "data")

    def do(self, *words, code=0, stdin=None, json_=True):
        words = [*map(str, words), "-c", str(self.config), *(["--json"] if json_ else [])]
        done = CliRunner().invoke(app, words, input=stdin)
        assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
        return done

    def told(self, *words, **more):
        return json.loads(self.do(*words, **more).stdout)


@pytest.fixture
def city(tmp_path):
    return City(tmp_path)


def test_a_person_is_let_in_with_the_password_that_was_shown(city):
    """Once: it stands in no other answer and in no file."""
    told = city.told("users", "add", "ana", "--role", "operator")
    assert city.accounts.sign_in("ana", told["password"], NOW_MS) == Person("ana", Role.OPERATOR)
    listed = city.do("users", "ls")
    rows = json.loads(listed.stdout)["users"]
    assert [(row["name"], row["role"], set(row)) for row in rows] == [
        ("ana", "operator", {"name", "role", "since"})
    ]
    assert told["password"] not in listed.output
    for path in city.folder.rglob("*"):
        assert path.is_dir() or told["password"].encode() not in path.read_bytes()


def test_people_see_the_password_on_a_line_of_its_own(city):
    """To be copied; that it is shown once is said beside it."""
    done = city.do("users", "add", "ana", "--role", "viewer", json_=False)
    first, password = done.stdout.splitlines()
    assert first == "ana is viewer"
    assert isinstance(city.accounts.sign_in("ana", password, NOW_MS), Person)
    assert "shown this once" in done.stderr
    assert password not in done.stderr


def test_a_password_of_ones_own_comes_from_standard_input(city):
    """Its first line; it is never shown."""
    words = ("users", "add", "ana", "--role", "admin", "--password-stdin")
    done = city.do(*words, stdin=f"{CANARY}\r\nmore\n")
    assert CANARY not in done.output
    assert city.accounts.sign_in("ana", CANARY, NOW_MS) == Person("ana", Role.ADMIN)


@pytest.mark.parametrize("stdin", ["", "\n", "canary\n", b"\xff\xfe\n", "ana" * 9])
def test_a_bad_password_is_refused_and_not_repeated(city, stdin):
    """Exit 2, and nobody is added."""
    words = ("users", "add", "ana", "--role", "admin", "--password-stdin")
    done = city.do(*words, stdin=stdin, code=2)
    assert "password" in done.stderr
    assert "canary" not in done.output
    assert city.accounts.users() == []


def test_role_password_and_end_count_at_once(city):
    """For a console that runs."""
    city.told("users", "add", "ana", "--role", "viewer", "--password-stdin", stdin=CANARY)
    assert city.told("users", "role", "ana", "admin") == {
        "ok": True,
        "name": "ana",
        "role": "admin",
    }
    assert city.accounts.sign_in("ana", CANARY, NOW_MS) == Person("ana", Role.ADMIN)
    told = city.told("users", "password", "ana")
    assert city.accounts.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG
    assert isinstance(city.accounts.sign_in("ana", told["password"], NOW_MS), Person)
    assert "password" not in city.told("users", "password", "ana", "--password-stdin", stdin=CANARY)
    assert city.told("users", "end", "ana") == {"ok": True, "name": "ana"}
    assert city.accounts.sign_in("ana", CANARY, NOW_MS) is NotLetIn.WRONG
    assert city.told("users", "ls") == {"users": []}


def test_a_token_is_shown_once_and_ends(city):
    """With its role and its last day."""
    told = city.told("tokens", "add", "dispatch", "--role", "operator", "--days", 30)
    assert city.accounts.by_token(told["token"], 0) == Person("token:dispatch", Role.OPERATOR)
    (row,) = city.told("tokens", "ls")["tokens"]
    assert (row["expires"], row["state"]) == (told["expires"], "good")
    assert told["token"] not in json.dumps(row)
    city.told("tokens", "end", "dispatch")
    assert city.accounts.by_token(told["token"], 0) is NotLetIn.UNKNOWN


def test_a_token_stands_alone_on_standard_output(city):
    """For `TOKEN=$(sense311 tokens add ...)`."""
    done = city.do("tokens", "add", "dispatch", "--role", "viewer", json_=False)
    assert isinstance(city.accounts.by_token(done.stdout.removesuffix("\n"), 0), Person)
    assert "dispatch is viewer until" in done.stderr


def test_an_expired_token_is_listed_as_such(city):
    """So that somebody notices."""
    city.accounts.add_token("old", Role.VIEWER, 0, days=1)
    assert city.told("tokens", "ls")["tokens"][0]["state"] == "expired"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("users", "end", "bob"), "there is no 'bob'"),
        (("users", "role", "bob", "admin"), "there is no 'bob'"),
        (("users", "role", "bob", "king"), "king"),
        (("users", "add", "bob", "--role", "king"), "king"),
        (("users", "add", "bob"), "--role"),
        (("users", "add", "Bob B", "--role", "viewer"), "is not a name"),
        (("tokens", "end", "x"), "there is no 'x'"),
        (("tokens", "add", "x", "--role", "viewer", "--days", "367"), "366"),
        (("tokens", "add", "x", "--role", "viewer", "--days", "0"), "greater"),
    ],
)
def test_what_cannot_be_is_wrong_usage(city, words, told):
    """Exit 2, with what is wrong."""
    assert told in city.do(*words, code=2).stderr


def test_a_file_of_accounts_that_others_read_is_refused_with_how_to_mend_it(city):
    """By every command, without a traceback."""
    city.told("users", "add", "ana", "--role", "viewer", "--password-stdin", stdin=CANARY)
    path = city.folder / "data" / "accounts.json"
    path.chmod(0o644)
    for words in (("users", "ls"), ("tokens", "ls"), ("users", "end", "ana")):
        done = city.do(*words, code=2)
        assert f"chmod 600 {path}" in done.stderr
        assert json.loads(done.stdout)["ok"] is False


def test_no_secret_reaches_a_log_or_an_error(city, caplog):
    """Of all that these commands and a console do with one."""
    with caplog.at_level(logging.DEBUG):
        words = ("--role", "admin", "--password-stdin")
        outputs = [city.do("users", "add", "ana", *words, stdin=CANARY).output]
        outputs.append(city.do("users", "add", "ana", *words, stdin=CANARY, code=2).output)
        token = city.told("tokens", "add", "t", "--role", "admin")["token"]
        outputs.append(city.do("tokens", "add", "t", "--role", "admin", code=2).output)
        outputs += [city.do(group, "ls").output for group in ("users", "tokens")]
        city.accounts.sign_in("ana", CANARY, NOW_MS)
        city.accounts.sign_in(CANARY, CANARY, NOW_MS)
        city.accounts.by_token(token, NOW_MS)
        (city.folder / "data" / "accounts.json").write_text(f'{{"users": "{token}"}}')
        city.accounts.sign_in("ana", CANARY, NOW_MS)
        outputs += [city.do("users", "ls", code=2).output, city.accounts.problem()]
    for secret in (CANARY, token):
        assert secret not in caplog.text
        assert all(secret not in output for output in outputs)
