"""How the page speaks: which language somebody reads, and times, numbers and shares written in it.

Owns the choice of the language and the direction of its script; the texts are `phrases`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from babel import Locale
from babel.dates import format_date, format_time, get_datetime_format, get_timezone
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from gateway.phrases import Phrases, read_phrases
from rules.rule import LANGUAGES

HEADER_PARTS_MAX = 20
HOUR_MS = 3_600_000
DAYS_FROM_MS = 72 * HOUR_MS  # shorter times are told in hours


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language, in one time zone."""

    words: Phrases
    locale: Locale
    time_zone: str

    @property
    def language(self) -> str:
        return self.words.language

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return self.locale.text_direction

    def time(self, at_ms: int) -> str:
        """By the city's clocks."""
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        zone = get_timezone(self.time_zone)
        day = format_date(at.astimezone(zone), "medium", locale=self.locale)
        hour = format_time(at, "short", tzinfo=zone, locale=self.locale)
        pattern = str(get_datetime_format("medium", locale=self.locale))
        return pattern.replace("{1}", day).replace("{0}", hour)

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self.locale)

    def share(self, value: float) -> str:
        return format_percent(value, locale=self.locale)

    def took(self, ms: int) -> str:
        """Hours, or days where they are many."""
        if ms < DAYS_FROM_MS:
            hours = round(ms / HOUR_MS, 1)
            return format_unit(hours, "duration-hour", length="short", locale=self.locale)
        days = round(ms / (24 * HOUR_MS), 1)
        return format_unit(days, "duration-day", length="short", locale=self.locale)


@cache
def tongue(language: str, time_zone: str) -> Tongue:
    """One of LANGUAGES."""
    return tongue_of(read_phrases(language), time_zone)


def tongue_of(words: Phrases, time_zone: str) -> Tongue:
    return Tongue(words, Locale.parse(words.language, sep="-"), time_zone)


def own_names() -> list[tuple[str, str]]:
    """Each language, and what it calls itself."""
    return [(name, Locale.parse(name).get_display_name() or name) for name in LANGUAGES]


def preferred(accept_language: str, otherwise: str) -> str:
    """What a browser asks for most of what is spoken here."""
    best, most = otherwise, 0.0
    for part in accept_language.split(",")[:HEADER_PARTS_MAX]:
        name, _, weight = part.partition(";")
        language = name.strip().partition("-")[0].lower()
        quality = _quality(weight)
        if language in LANGUAGES and quality > most:
            best, most = language, quality
    return best


def _quality(weight: str) -> float:
    key, _, value = weight.replace(" ", "").partition("=")
    try:
        return float(value) if key == "q" else 1.0
    except ValueError:
        return 0.0
