"""What people read, in their language: beside a rule's own description, and on the pages.

The texts stand in English where they are used; `languages/` holds their translations in gettext's
format. A language that is not there is a fault of the profile, a text that is not translated a
fault of ours: a test finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from rules.rule import LANGUAGES


@dataclass(frozen=True, slots=True)
class Phrases:
    language: str = LANGUAGES[0]
    texts: Mapping[str, str] = field(default_factory=dict)

    def say(self, text: str, **values: str) -> str:
        """The text in this language, its holes filled."""
        return self.texts.get(text, text).format_map(values)


ENGLISH = Phrases()


@cache
def read_phrases(language: str) -> Phrases:
    """One of LANGUAGES."""
    if language == ENGLISH.language:
        return ENGLISH
    from babel.messages.pofile import read_po  # where another language is spoken

    with (resources.files("gateway") / "languages" / f"{language}.po").open("rb") as file:
        catalog = read_po(file)
    return Phrases(language, {str(m.id): str(m.string) for m in catalog if m.id and m.string})


def moment(at: int | str, time_zone: str, language: str) -> str:
    """An instant, in ms or RFC 3339, as it is written there, on those clocks."""
    from babel.dates import format_datetime, get_timezone

    known = datetime.fromisoformat(at) if isinstance(at, str) else _instant(at)
    return format_datetime(known, "medium", tzinfo=get_timezone(time_zone), locale=language)


def direction(language: str) -> str:
    """Which way it is written: "ltr" or "rtl"."""
    from babel import Locale

    return str(Locale.parse(language).text_direction)


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
