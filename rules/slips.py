"""Slips of those who know other languages: what to write instead.

For a condition that does not fit the grammar: from what stands at the place of the fault, and just
before it, to one line of help. Only words for people; decides nothing.
"""

# ruff: noqa: RUF001 - look-alikes are what this room is about
import re
from types import MappingProxyType

_AT = MappingProxyType(
    {
        "=": "equality is written ==, at least is >=",
        "&": "write `and`",
        "|": "write `or`",
        "!": "write `not`",
        "'": "a text is 1 to 64 characters on one line, in quotes on either side",
        '"': "a text is 1 to 64 characters on one line, in quotes on either side",
        "^": "there are no powers: multiply",
        ",": "decimals are written with a point, as in 3.3 V; conditions are joined by `and`",
        ".": "write the digit before the point, as in 0.5",
        ":": "there is nothing with `:` in conditions; a duration is 15min",
        ";": "one condition, without an end mark; join several by `and` or `or`",
        "?": "there is no `? :`; write (c and a) or (not c and b)",
        "{": "params and let names are written without braces",
        "[": "a window is written avg(x) over 5min",
        "$": "names are written without $",
        "#": "a comment stands outside of the condition, on a line of its own",
        "%": "a share is written 20%; there is no remainder",
        ">": "`not equal` is written !=, at least >=",
        ")": "there is one `)` more than `(`",
        "(": "a call is name(...); between two terms stands `and`, `or` or a sign",
        "*": "there are no powers: multiply",
        "/": "there are no comments inside of a condition; put it above",
        "_": "digits are not grouped: 1000",
        "°": "degrees are written degC for temperatures, deg for angles",
        "µ": "units are those of `sense311 rules docs`: mm, m, s, ms...",
        "μ": "units are those of `sense311 rules docs`: mm, m, s, ms...",
        "≥": "write >=",
        "≤": "write <=",
        "≠": "write !=",
        "×": "write *",
        "÷": "write /",
        "−": "write - (the plain minus)",
        "–": "write - (the plain minus)",
        "“": "leave the curly quotes out",
        "”": "leave the curly quotes out",
        "‘": "leave the curly quotes out",
        "’": "leave the curly quotes out",
        "\u00a0": "there is a blank here that is none: write it anew",
        "\u200b": "there is an invisible character here: write it anew",
    }
)  # fmt: skip
_WORDS = MappingProxyType(
    {
        "if": "there is no if/else; write (c and a) or (not c and b)",
        "else": "there is no if/else; write (c and a) or (not c and b)",
        "then": "there is no if/then; write (c and a) or (not c and b)",
        "is": "write the name alone, or == between numbers",
        "between": "write 80% < x < 90%",
        "over": "`over` follows a call: avg(x) over 30min",
        "and": "a term is missing before `and`",
        "or": "a term is missing before `or`",
        "not": "join with `and not`",
        "in": "write x in [a, b]",
        "true": "join with `and`",
        "false": "join with `and`",
        "xor": "write a != b",
        "than": "write > or <",
        "for": "the time that it must last is the key for:",
        "by": "windows and groups are written avg(x) over 30min, peers.count(...)",
    }
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "over", "matches", "true", "false"})
_BEFORE = re.compile(r"([A-Za-z_]+)\s*\Z")


def advice(text: str, offset: int, word: str) -> str:
    """What may have been meant by the `word` at `offset`, which does not fit there."""
    before = _BEFORE.search(text[:offset])
    for name in (word, before.group(1) if before else ""):
        if name.lower() in _KEYWORDS and name not in _KEYWORDS:
            return f"write `{name.lower()}`: words are small"
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if word[0] in _AT:
        return _AT[word[0]]
    if not word[0].isascii():
        return "names and units are of plain letters a to z; look for a letter of another script"
    return "between two terms stands `and`, `or`, a sign such as < or an operator"


def at_the_end(text: str) -> str:
    """What may be missing."""
    if not text.strip():
        return "write a condition, such as fill > 80%"
    missing = text.count("(") - text.count(")")
    if missing > 0:
        return f"{'a closing parenthesis is' if missing == 1 else f'{missing} `)` are'} missing"
    return "something is missing after the last word"
