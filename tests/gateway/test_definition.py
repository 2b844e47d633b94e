"""What a city demands is read in every shape, and what it would refuse is told with its fix."""

import json
import time
from pathlib import Path

import pytest
from delivery import KEY, T0_MS, a_row, running_desk

from gateway.cityhall.catalogue import FRESH_S, UNREAD_S, Catalogue
from gateway.cityhall.definition import (
    Attribute,
    attributes_of,
    faults_of,
    offers_of,
    unknown_service,
)
from gateway.cityhall.delivery import CannotTell, Cause, Filed, NotSent, Refused
from gateway.cityhall.georeport_read import read_record, read_records
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import Profile, Wire

KIND = {"code": "KIND", "datatype": "singlevaluelist", "required": "true",
        "values": [{"key": "OUT", "name": "Out"}, {"key": "DIM", "name": "Dim"}]}  # fmt: skip
XML = """<service_definition><service_code>S</service_code>{}</service_definition>"""
XML_KIND = """<attribute><variable>true</variable><code>KIND</code>
<datatype>singlevaluelist</datatype><required>true</required>
<values><value><key>OUT</key><name>Out</name></value>
<value><key>DIM</key><name>Dim</name></value></values></attribute>"""
CHOICES = {"OUT": "Out", "DIM": "Dim"}


@pytest.mark.parametrize(
    ("body", "wire"),
    [
        (json.dumps({"service_code": "S", "attributes": [KIND]}), Wire.JSON),
        (json.dumps([{"service_code": "S", "attributes": [KIND]}]), Wire.JSON),
        (json.dumps({"service_code": "S", "attributes": KIND}), Wire.JSON),
        (json.dumps({"attributes": {"attribute": [KIND | {"required": True}]}}), Wire.JSON),
        (XML.format(f"<attributes>{XML_KIND}</attributes>"), Wire.XML),
        (XML.format(XML_KIND), Wire.XML),
    ],
)
def test_a_definition_is_read_in_every_shape(body, wire):
    """A list of one, no list at all, attributes right under the root."""
    (attribute,) = attributes_of(read_record(body.encode(), wire))
    assert (attribute.code, attribute.datatype) == ("KIND", "singlevaluelist")
    assert (attribute.required, dict(attribute.values)) == (True, CHOICES)


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        "",
        [{"code": "T", "variable": "false", "required": "true"}],
        [{"code": "T", "automated": "server_set", "required": "true"}],
        [{"code": "T", "automated": "hidden_field", "required": True}],
        [{"datatype": "string", "required": "true"}],
    ],
)
def test_what_nobody_is_asked_for_is_no_attribute(attributes):
    """Texts to be shown, and what the city fills in itself."""
    assert attributes_of({"service_code": "S", "attributes": attributes}) == ()


@pytest.mark.parametrize(
    "body",
    [
        '[{"service_code": 0, "metadata": true, "keywords": "lamp, dark", "group": "Lights"}]',
        (
            '{"services": [{"service_code": "0", "metadata": "true", "keywords": "lamp,dark",'
            ' "groups": ["Lights"]}]}'
        ),
    ],
)
def test_a_service_list_is_read_in_every_shape(body):
    """A code is a text, also if it is 0."""
    offers = offers_of(read_records(body.encode(), Wire.JSON))
    (offer,) = offers.values()
    assert (offer.code, offer.defined, offer.group) == ("0", True, "Lights")
    assert offer.keywords == ("lamp", "dark")


STRICT = (
    Attribute("KIND", "singlevaluelist", required=True, values=CHOICES),
    Attribute("PARTS", "multivaluelist", values=CHOICES),
    Attribute("WATTS", "number", help="of the lamp"),
    Attribute("SEEN", "datetime"),
    Attribute("NOTE", "text"),
)


@pytest.mark.parametrize(
    ("sent", "message", "fix"),
    [
        ([], "'KIND' is missing", "set services.S.attributes.KIND; it takes one of OUT, DIM"),
        ([("KIND", "")], "'KIND' is missing", "set services.S.attributes.KIND"),
        ([("KIND", "ON")], "'KIND' cannot be 'ON'", "it takes one of OUT, DIM"),
        ([("KIND", "OUT"), ("WATTS", "nan")], "'WATTS' cannot be 'nan'", "number (of the lamp)"),
        ([("KIND", "OUT"), ("SEEN", "yesterday")], "'SEEN' cannot be", "a datetime"),
        ([("KIND", "OUT"), ("PARTS", "OUT")], "'PARTS' takes several", "as a list"),
        ([("KIND][", "OUT")], "'KIND' takes one value", "as one text"),
        ([("KIND", "OUT"), ("KIN", "1")], "no attribute 'KIN'", "perhaps 'KIND'"),
        ([("KIND", "OUT"), ("asset", "1")], "no attribute 'asset'", "asks for KIND, PARTS, WATTS"),
    ],
)
def test_what_a_definition_does_not_allow_is_told_with_its_fix(sent, message, fix):
    """Before anything is sent."""
    form = [(f"attribute[{code}]", value) for code, value in sent]
    (fault,) = faults_of("S", form, STRICT)
    assert message in fault.message
    assert fix in fault.fix


def test_what_a_definition_asks_for_has_no_fault():
    """Several values, a number with an exponent, a time with a zone; other fields are not its."""
    form = [
        ("description", "x"), ("attribute[KIND]", "DIM"), ("attribute[PARTS][]", "OUT"),
        ("attribute[PARTS][]", "DIM"), ("attribute[WATTS]", "5.8e1"),
        ("attribute[SEEN]", "2026-01-15T20:05:00Z"), ("attribute[NOTE]", "any"),
    ]  # fmt: skip
    assert faults_of("S", form, STRICT) == []


def test_an_unknown_service_comes_with_its_nearest():
    """By its code, or by its name."""
    offers = offers_of([{"service_code": "SL-OUT", "service_name": "Street Light Out"}])
    assert "perhaps 'SL-OUT'" in unknown_service("LAMP", "SL_OUT", offers).fix
    assert "perhaps 'SL-OUT'" in unknown_service("LAMP", "street light 1/out", offers).fix
    assert "set services.LAMP.code, one of SL-OUT" in unknown_service("LAMP", "9", offers).fix


class Words:
    """A city that says what it is told to; how often it was asked."""

    def __init__(self, services, definition=()):
        self.said, self.defined, self.asked = services, definition, []

    def services(self):
        self.asked.append("services")
        return self.said

    def definition(self, code):
        self.asked.append(code)
        return self.defined


ONE = [{"service_code": "A", "metadata": "true"}]


@pytest.mark.parametrize(
    ("services", "later_s", "asked"),
    [
        (ONE, FRESH_S - 1, 1),
        (ONE, FRESH_S, 2),
        (CannotTell(Cause.TIMEOUT, "t"), UNREAD_S - 1, 1),
        (CannotTell(Cause.TIMEOUT, "t"), UNREAD_S, 2),
        (CannotTell(Cause.UNREACHABLE, "t"), 0, 2),
    ],
)
def test_a_city_is_not_asked_the_same_again_and_again(services, later_s, asked):
    """But for one that was away, which may be back."""
    now_s = [0.0]
    city = Words(services)
    catalogue = Catalogue(city, lambda: now_s[0])
    catalogue.offers()
    now_s[0] = later_s
    catalogue.offers()
    assert city.asked == ["services"] * asked


@pytest.mark.parametrize(
    ("services", "definition", "faults"),
    [
        ([], (), []),
        ([{"service_code": "A"}], (), []),
        (ONE, CannotTell(Cause.SERVER_ERROR, "500"), CannotTell(Cause.SERVER_ERROR, "500")),
        (ONE, {"attributes": []}, []),
    ],
)
def test_what_a_city_does_not_say_refuses_nothing(services, definition, faults):
    """It says so itself when it is asked."""
    catalogue = Catalogue(Words(services, definition), lambda: 0.0)
    assert catalogue.faults("S", "A", [("description", "d")]) == faults


# -- on a real desk --------------------------------------------------------------------------------

TABLE = """
[[service]]
code = "LAMP"
name = "Street Light Out"

[[service.attribute]]
code = "KIND"
datatype = "singlevaluelist"
description = "what is wrong"
required = true
values = [{{key = "{key}", name = "Out"}}]
"""


@pytest.fixture
def strict_desk(tmp_path: Path):
    (tmp_path / "services.toml").write_text(TABLE.format(key="OUT"))
    with running_desk(tmp_path, "--services", str(tmp_path / "services.toml")) as desk:
        yield desk


def profile(code="LAMP", **attributes):
    service = {"code": code, "attributes": attributes}
    return Profile.model_validate({"title": "t", "services": {"STREETLIGHT_OUT": service}})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (profile(), "the required attribute 'KIND' is missing"),
        (profile(KIND="BROKEN"), "'KIND' cannot be 'BROKEN'"),
        (profile(KIND="OUT", pole="{asset_id}"), "no attribute 'pole'"),
        (profile("LAMPS"), "the city has no service 'LAMPS'"),
    ],
)
def test_what_the_desk_would_refuse_is_refused_before_any_post(strict_desk, said, words):
    """With the key to mend in the profile, and nothing stored."""
    with Open311Client(strict_desk.endpoint, KEY, said) as client:
        outcome = client.post(a_row())
    assert isinstance(outcome, Refused)
    assert words in outcome.reason
    assert "services.STREETLIGHT_OUT." in outcome.reason
    assert strict_desk.stored() == []


@pytest.mark.slow
def test_a_definition_that_changes_refuses_from_the_first_no_on(tmp_path):
    """The desk starts again with another list of values; its own no makes ours read it again."""
    table = tmp_path / "services.toml"
    table.write_text(TABLE.format(key="OUT"))
    with running_desk(tmp_path, "--services", str(table)) as desk:
        port = desk.url.rpartition(":")[2]
        client = Open311Client(desk.endpoint, KEY, profile(KIND="OUT"))
        assert isinstance(client.post(a_row("first")), Filed)
    table.write_text(TABLE.format(key="COMPLETE"))
    with running_desk(tmp_path, "--services", str(table), "--port", port) as desk, client:
        outcomes = [client.post(a_row(key)) for key in ("second", "third")]
        stored = desk.stored()
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [True, True]
    assert outcomes[0].reason.startswith("HTTP 400")
    assert "'KIND' cannot be 'OUT'" in outcomes[1].reason
    assert len(stored) == 1


@pytest.mark.slow
def test_a_desk_that_cannot_be_read_is_asked_and_one_that_is_away_was_sent_nothing(strict_desk):
    """Nothing is lost for want of a definition."""
    strict_desk.misbehave(error_before_rate=1.0, reads_fail=True)
    with Open311Client(strict_desk.endpoint, KEY, profile(KIND="OUT")) as client:
        assert not isinstance(client.post(a_row("broken")), Refused)
        strict_desk.misbehave()
        assert isinstance(client.post(a_row("well again")), Filed)
    with Open311Client("http://127.0.0.1:9/v2", KEY, profile(KIND="OUT")) as client:
        before_s = time.monotonic()
        assert isinstance(client.post(a_row("away", created_ms=T0_MS)), NotSent)
    assert time.monotonic() - before_s < 5
