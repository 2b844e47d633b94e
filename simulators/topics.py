"""Topic filters: which topics a filter with + and # means.

As MQTT has it: + is one level, # is this level and all below, and neither means a topic that begins
with $. Pure.
"""

from collections.abc import Iterable, Sequence


def checked(text: str) -> str:
    """The filter itself. Raises ValueError for one that no broker would take."""
    levels = text.split("/")
    wild = [level for level in levels if ("+" in level or "#" in level) and len(level) > 1]
    if not text or wild or "#" in levels[:-1] or "\0" in text:
        raise ValueError(
            f"{text!r} is no topic filter: + stands for a whole level, # for the last ones, as in "
            "city/v1/+/bin/#"
        )
    return text


def matches(topic_filter: str, topic: str) -> bool:
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        one in ("+", level) for one, level in zip(wanted, levels, strict=True)
    )


def without_covered(filters: Iterable[str]) -> list[str]:
    """Those that no other one includes: some brokers deliver once for each that matches."""
    distinct = list(dict.fromkeys(filters))
    return [one for one in distinct if not any(_covers(other, one) for other in distinct)]


def _covers(wide: str, narrow: str) -> bool:
    if wide == narrow:
        return False
    return _reaches(wide.split("/"), narrow.split("/"), first=True)


def _reaches(wide: Sequence[str], narrow: Sequence[str], *, first: bool = False) -> bool:
    if first and narrow[0].startswith("$") and wide[0] in ("+", "#"):
        return False
    if wide[:1] == ["#"]:
        return True
    if not wide or not narrow or narrow[0] == "#":
        return not wide and not narrow
    return wide[0] in ("+", narrow[0]) and _reaches(wide[1:], narrow[1:])
