"""What the city reads, in its language."""

import ast
from pathlib import Path

import pytest
from small_city import LIBRARY, Gate, at, body, city_of, sent
from spoken import HOLE, glued, spoken

from gateway.cityhall import requests
from gateway.phrases import ENGLISH, read_phrases
from rules.rule import LANGUAGES

OTHERS = LANGUAGES[1:]


# `requests` keeps some sentences in tables, and says them from there.
FROM_TABLES = "gateway/cityhall/requests.py"


def in_tables():
    """The sentences there."""
    tree = ast.parse(Path(requests.__file__).read_text("utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and HOLE.search(text)
            and text.endswith(".") and "\n" not in text and "/" not in text}  # fmt: skip


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_there_in_every_language(language):
    """With the same holes; a missing one fails here, not before a clerk or a resident."""
    wanted = set(spoken()) | in_tables()
    texts = read_phrases(language).texts
    assert len(in_tables()) >= 5
    assert len(wanted) > 500
    assert sorted(wanted - set(texts)) == []
    assert sorted(set(texts) - wanted) == []
    for text, translated in texts.items():
        assert sorted(HOLE.findall(text)) == sorted(HOLE.findall(translated)), text


def test_no_text_is_put_together_from_parts():
    """What a translator never sees whole cannot be translated."""
    assert [one for one in glued() if not one.startswith(FROM_TABLES)] == []


@pytest.mark.parametrize("rule", [r for r in LIBRARY.rules.values() if r.file], ids=lambda r: r.id)
def test_every_shipped_rule_speaks_every_language(rule):
    """With the same holes as its English description."""
    assert sorted(rule.file.translations) == sorted(OTHERS)
    for template in rule.file.translations.values():
        assert set(HOLE.findall(template.text)) == set(HOLE.findall(rule.file.description.text))


@pytest.mark.parametrize("path", sorted(Path("rules/library/templates").glob("*.yaml")),
                         ids=lambda path: path.stem)  # fmt: skip
def test_every_template_that_files_speaks_every_language(path):
    """Whoever uses it need not translate it."""
    text = path.read_text("utf-8")
    assert ("\n    description:" in text) == ("\n    translations:" in text)
    if "\n    translations:" in text:
        assert [f"\n      {language}:" in text for language in OTHERS] == [True] * len(OTHERS)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Bin BIN-0 is 92 % full (threshold 80 %), since"),
        ("es", "El contenedor BIN-0 está lleno al 92 % (umbral 80 %), desde"),
        ("fr", "Le bac BIN-0 est rempli à 92 % (seuil 80 %), depuis"),
        ("zh", "垃圾桶 BIN-0 已装 92 %"),
    ],
)
def test_a_request_is_in_the_citys_language(language, words):
    """All of it."""
    gate = Gate(city_of(bins=1), phrases=read_phrases(language))
    for minute in range(0, 60, 10):
        gate.live(minute, sent("b0", body(at(minute), {"fill_pct": 92}), "bin"))
    gate.pass_to(70)
    (row,) = gate.rows
    assert row.request.description.replace("92%", "92 %").replace("80%", "80 %").startswith(words)
    assert ("Confirmed" in row.request.description) == (language == "en")


def test_english_is_what_stands_in_the_code():
    """And a text that nobody has translated stays readable."""
    assert read_phrases("en") is ENGLISH
    assert read_phrases("es").say("Nobody knows {this}.", this="it") == "Nobody knows it."
