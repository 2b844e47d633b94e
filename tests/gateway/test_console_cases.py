"""What the pages of incidents and requests decide themselves: words, addresses, buttons, rows."""

from itertools import product
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nicegui import Client, ui
from staffed import ADMIN, OPERATOR, T0_MS, VIEWER, Staffed

from gateway.cases.incident import State, Why
from gateway.cityhall.delivery import Event
from gateway.cityhall.delivery import State as Delivery
from gateway.cityhall.requests import rfc3339
from gateway.console import case_words, incidents
from gateway.console.incident_deeds import SHOWN, acts_of
from gateway.console.incidents import number_of
from gateway.console.live_table import Built, LiveTable, Row
from gateway.console.requests import age_text, together
from gateway.console.silences import _names
from gateway.phrases import ENGLISH, read_phrases
from gateway.staff.deed import NUMBER_MAX, Code, Deed, Outcome
from gateway.views.incidents import Wanted, incident_view
from rules.instance import Cause, Phase
from rules.rule import LANGUAGES

MINUTE_MS = 60_000

# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "table"),
    [
        (State, case_words.incident_states),
        (Delivery, case_words.request_states),
        ((*State, *Phase), case_words.step_words),
        ((*Cause, *Why), case_words.causes),
        (Deed, case_words.deed_words),
        (Code, case_words.outcome_words),
    ],
)
def test_whatever_the_books_can_say_has_words(known, table):
    """No state, reason or deed is shown as the bare name that it has inside."""
    words = table(ENGLISH)
    assert [one for one in known if one not in words] == []


@pytest.mark.parametrize("request_state", list(Delivery))
def test_that_the_city_is_asked_is_said_only_where_it_has_the_request(request_state):
    """Of one that waits for approval, or may not have arrived, the truth is another."""
    told = case_words.means_of(ENGLISH, State.QUEUED, request_state)
    has_it = request_state in (Delivery.FILED, Delivery.TOKENED)
    assert (told == "The city is asked to repair it.") == has_it
    held = case_words.incident_states(ENGLISH)[State.HELD].means
    assert case_words.means_of(ENGLISH, State.HELD, request_state) == held


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", list(Code))
def test_how_a_deed_ended_is_told_in_the_visitors_language(language, code):
    """The particulars are the gateway's, and are kept."""
    words = read_phrases(language)
    told = case_words.verdict(words, Outcome(code, "BIN-1: filed"))
    means = case_words.outcome_words(words)[code].means
    assert told == f"{means} (BIN-1: filed)"
    assert (means == case_words.outcome_words(ENGLISH)[code].means) == (language == "en")
    assert case_words.verdict(words, Outcome(code, "")) == means


def test_every_event_of_a_delivery_has_words():
    """As it stands in the log of the delivery: its name in small letters."""
    names = [event.__name__.lower() for event in Event.__args__]
    assert [name for name in names if case_words.event_text(ENGLISH, name) == name] == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("city:closed", "The city shows it as closed."),
        ("news:FIXED:told", "The city was told that the fault is over."),
        ("news:OTHER:told", "OTHER:told"),
        ("<b>", "<b>"),
    ],
)
def test_what_the_city_says_of_it_is_told_as_it_said_it(event, text):
    """And an event that nobody knows stays as it is."""
    assert case_words.event_text(ENGLISH, event) == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "0 min"), (119, "119 min"), (120, "2 h"), (47 * 60, "47 h"), (48 * 60, "2 days"),
     (-5, "0 min")],
)  # fmt: skip
def test_an_age_is_told_in_the_unit_that_says_something(minutes, text):
    """A clock that was set back makes nothing younger than new."""
    since = rfc3339(T0_MS)
    assert age_text(ENGLISH, since, T0_MS + minutes * MINUTE_MS) == text


def test_an_age_that_is_not_known_is_told_as_such():
    """Instead of a guess."""
    assert age_text(ENGLISH, None, T0_MS) == "-"


# -- several at once -------------------------------------------------------------------------------


def test_several_deeds_are_done_when_all_are():
    """Else it is said how many were, and why the first of the others was not."""
    done, refused = Outcome(Code.DONE, "r: ready"), Outcome(Code.REFUSED, "it does not wait")
    assert together(ENGLISH, [("a", done), ("b", done)]).done
    mixed = together(ENGLISH, [("a", done), ("b", refused), ("c", refused)])
    assert mixed.code is Code.REFUSED
    assert mixed.text == "1 are approved, 2 are not; b: it does not wait"


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("0", None), ("-1", None), ("", None), ("1e3", None), ("٣", None), ("²", None),
        (str(NUMBER_MAX - 1), NUMBER_MAX - 1), (str(NUMBER_MAX), None), ("9" * 30, None),
        ("7\n", None), ("../7", None),
    ],
)  # fmt: skip
def test_only_a_number_that_the_books_can_hold_is_one(text, number):
    """Other signs that count as digits somewhere are none here."""
    assert number_of(text) == number


@given(
    st.builds(
        dict,
        state=st.sampled_from(["", "over", "all", *State]),
        kind=st.sampled_from(["", "bin"]),
        zone=st.sampled_from(["", "north & south"]),
        rule=st.sampled_from(["", "bin_full"]),
        asset=st.sampled_from(["", "B/7?"]),
        hours=st.sampled_from(["", "1", "24", "168", "720"]),
        waiting=st.sampled_from(["", "1"]),
        search=st.sampled_from(["", "1 Lake St", "%_'\"<"]),
        after=st.sampled_from(["", "12"]),
    )
)
def test_an_address_asks_for_what_it_was_made_of(query):
    """A page that is passed on, or gone back to, is the same one."""
    wanted, after = incidents._asked(query)
    address = incidents._address(wanted, after)
    again = dict(parse_qsl(address.partition("?")[2]))
    assert incidents._asked(again) == (wanted, after)


@pytest.mark.parametrize(
    "query",
    [
        {"state": "nonsense"},
        {"hours": "1e9"},
        {"hours": "nan"},
        {"after": "-3"},
        {"waiting": "yes"},
    ],
)
def test_what_cannot_be_asked_for_is_left_out(query):
    """It is the list as it opens."""
    assert incidents._asked(query) == (Wanted(open=True), None)


# -- buttons ---------------------------------------------------------------------------------------


def test_a_button_is_there_for_every_deed_and_only_what_is_possible_and_allowed_works(tmp_path):
    """Every other says why: the role first, then the state."""
    staffed = Staffed(tmp_path, full=2)
    staffed.divert(staffed.references()[0])
    number = staffed.incidents()[0]
    shadow = staffed.incidents("slow_bin")[0]
    seen = {
        (person.role, one): {act.deed: act.obstacle for act in acts_of(
            ENGLISH, person, incident_view(staffed.books, one, evidence=False))}
        for person, one in product((VIEWER, OPERATOR, ADMIN), (number, shadow))
    }  # fmt: skip
    for acts in seen.values():
        assert list(acts) == list(SHOWN)
    assert set(seen["viewer", number].values()) == {"It asks for the role operator."}
    possible = {deed for deed, obstacle in seen["operator", number].items() if not obstacle}
    assert possible == {Deed.APPROVE, Deed.LINK, Deed.SILENCE, Deed.MERGE}
    assert seen["admin", number] == seen["operator", number]
    assert seen["operator", shadow][Deed.APPROVE] == "Nothing was asked of the city."


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ()), (None, ()), (" , ,", ()), ("a, b ,c", ("a", "b", "c")), ("a b", ("a b",))],
)
def test_names_are_told_apart_by_commas(text, names):
    """Blanks around them are nothing; those within stay."""
    assert _names(text) == names


# -- a list that goes on ---------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y"]), st.integers(0, 1)),
    unique_by=lambda row: row[0],
    max_size=6,
)


def _row(key, text, version, built):
    return Row(key, [text, Built(version, lambda: (built.append(key), ui.label(key)))])


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_a_list_shows_what_it_is_given_and_keeps_what_is_the_same(shows):
    """In the order given; a row that stays is the same element; what is the same is untouched."""
    with Client(ui.page("/a-list")) as client:
        made = LiveTable("list", ["text", "more"], "none")
        before = {}
        for rows in shows:
            built = []
            made.show([_row(*row, built) for row in rows])
            elements = made._body.default_slot.children
            texts = [
                (tr.default_slot.children[1].default_slot.children[0].text,
                 tr.default_slot.children[0].text) for tr in elements
            ]  # fmt: skip
            assert texts == [(key, text) for key, text, _ in rows]
            now = {row[0]: (tr.id, row[2]) for row, tr in zip(rows, elements, strict=True)}
            for key in now.keys() & before.keys():
                assert now[key][0] == before[key][0]
                assert (key in built) == (now[key][1] != before[key][1])
            before = now
    client.delete()
