"""Every key of a rule file: what may stand under it and what it means.

The one place where keys are explained to people: editors show these texts through `rules schema`.
Says nothing that is enforced here; a test holds the table against what the loader takes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Key(NamedTuple):
    shape: str
    """text, condition, duration, number, truth, words, a name of `KEYS`, or `list of` such."""
    doc: str
    example: str = ""


def _keys(**entries: tuple[str, str] | tuple[str, str, str]) -> Mapping[str, Key]:
    """Keys by name; `for_` and the like stand for words that Python keeps for itself."""
    return MappingProxyType({name.rstrip("_"): Key(*entry) for name, entry in entries.items()})


KEYS: Mapping[str, Mapping[str, Key]] = MappingProxyType(
    {
        "rule file": _keys(
            apiVersion=("text", "The version of the rule language.", "sense311/v1"),
            sensor=("text", "The kind of sensor: it decides which fields conditions may use."),
            owner=("text", "Who looks after these rules.", "lighting-ops"),
            params=("params", "Values that whoever installs the rules may set within a range."),
            rules=("list of rule", "The rules: each begins with `- id:` or `- use:`."),
        ),
        "template file": _keys(
            apiVersion=("text", "The version of the rule language.", "sense311/v1"),
            template=("text", "The name by which rule files use it."),
            doc=("text", "What it finds, and what it cannot."),
            sensor=("text or words", "The kinds of sensor that it fits; without it, any."),
            inputs=("inputs", "What its user may or must give."),
            rule=("body", "The rule, in which inputs stand as words."),
        ),
        "param": _keys(
            default=("literal", "Its value unless it is set from outside.", "20%"),
            range=("list of literal", "The lowest and the highest value allowed.", "[5%, 50%]"),
            doc=("text", "What it means."),
        ),
        "input": _keys(
            type=(
                "text",
                (
                    "A unit such as % or W (1: a plain number), `duration`, `bool`, `number` (of"
                    " any unit), or `field`, `rule`, `service`, `text` for a word."
                ),
            ),
            default=(
                "literal",
                (
                    "Its value where none is given; it may be computed from inputs before it."
                    " `none`: what needs it is left out. Without a default it must be given."
                ),
            ),
            example=("literal", "What to begin with where there is no default."),
            range=("list of literal", "The lowest and the highest value allowed.", "[5%, 50%]"),
            doc=("text", "What it means."),
            source=("text", "Where the default comes from."),
        ),
        "rule": _keys(
            id=("text", "Its name in snake_case, by which others refer to it.", "lamp_out"),
            title=("text", "What has happened, with holes: Bin {asset.id} is full."),
            doc=("text", "What it watches, and why; for people."),
            fault=("text", "The name of the fault in the uCIFI vocabulary.", "lamp_failure"),
            mode=("text", "`live`, or `shadow`: what it would file is only recorded."),
            scope=("text", "What one instance is about: an asset, a circuit, a zone, a place."),
            let=("lets", "Names for parts of conditions: level: coalesce(dim_level, 100%)."),
            when=("condition", "The fault is there while this is true. Unknown is neither."),
            unless=("condition", "While this is true the fault is not believed."),
            hit=("condition", "Scope place: a reading of a vehicle for which this is true counts."),
            place=("place", "Scope place: how hits of vehicles become one place."),
            for_=("duration", "How long `when` must hold, in the time of the samples.", "15min"),
            cover=("cover", "How well samples must cover that time."),
            clear=("clear", "When the fault is over; without it, as soon as `when` is false."),
            no_data=("no_data", "What silence means. It never ends a fault."),
            lateness=("duration", "How long filing waits for late samples.", "5min"),
            monotone=(
                "truth",
                "false: filing waits for late samples even where one sample decides.",
            ),
            identity=("words", "What makes two faults the same: [asset.id]."),
            absorbed_by=("words", "Rules that explain this one: it waits for them before filing."),
            absorbs=("absorbs", "Rules that this one explains: theirs become part of it."),
            file=("file", "What is asked of the city. Without it: kept for the operators only."),
            tests=("list of test", "What must come of which samples."),
        ),
        "use": _keys(
            use=("text", "The template of which the rule is made."),
            with_=("with", "Its inputs."),
            id=("text", "The rule's name; without it, the template's."),
            title=("text", "Instead of the template's."),
            doc=("text", "Instead of the template's."),
            mode=("text", "`live`, or `shadow`: what it would file is only recorded."),
            absorbed_by=("words", "Rules that explain this one: it waits for them before filing."),
            file=("file", "Keys here replace those of the template."),
            tests=("list of test", "Besides those of the template."),
        ),
        "place": _keys(
            radius=("literal", "Hits within this are one place.", "12m"),
            window=("duration", "Older hits are forgotten.", "14d"),
            pass_gap=("duration", "Two hits of one vehicle closer in time are one.", "10min"),
            min_speed=("literal", "Who is known to be slower tells nothing.", "15 km/h"),
            half_life=("duration", "So long after it a pass counts half in hit_share.", "7d"),
            heading=("literal", "Directions that differ by more are two places.", "45deg"),
        ),
        "cover": _keys(
            min_samples=("number", "How many samples must agree.", "2"),
            max_gap=("duration", "A longer gap between samples starts anew.", "45min"),
        ),
        "clear": _keys(
            when=("condition", "True: the fault is going away."),
            for_=("duration", "How long that must hold.", "10min"),
        ),
        "no_data": _keys(
            hold=("duration", "Without samples for this long the rule is blind.", "2h"),
        ),
        "absorbs": _keys(
            rules=("words", "Rules on the members; each names this one in absorbed_by."),
            hold=("duration", "How long they wait for this one.", "5min"),
        ),
        "file": _keys(
            service=("text", "The service, in the project's own name.", "STREETLIGHT_OUT"),
            urgent=("truth", "true: filed at once, with no wait of any kind."),
            description=("text", "What the city reads, with holes: {active_power:.0f W}."),
            translations=("translations", "The same in other languages, with the same holes."),
        ),
        "translations": _keys(
            es=("text", "In Spanish."),
            fr=("text", "In French."),
            zh=("text", "In Chinese."),
        ),
        "test": _keys(
            name=("text", "What it shows; unique within the rule."),
            doc=("text", "Why it is so."),
            start=("text", "When the first sample is taken.", "2026-01-15T20:00-06:00"),
            every=("duration", "The time between samples.", "5min"),
            asset=("attributes", "The asset: id, lat, lon and its attributes."),
            assets=("attributes", "Many alike: count, and what they have in common."),
            cabinet=("feed", "What the cabinet of the circuit sends."),
            place=("attributes", "Scope place: where the vehicles pass, lat and lon."),
            vehicles=("number", "Scope place: how many vehicles take turns."),
            feed=(
                "feed",
                (
                    'Samples by field: "58W x3, 0W x8, _ x30"; _ is a missing one. Under `faults`'
                    " what the device itself claims: none, lamp_failure."
                ),
            ),
            expect=("list of expectation", "What must be so, and when."),
        ),
        "expectation": _keys(
            at=("text", "When: +25min from the start, end, or end + 10min."),
            never=("text or words", "What must not be at any time of the test."),
            rule=("text", "Another rule that this is about."),
            on=("text", "The asset that this is about."),
            state=("text", "ok, pending, firing, clearing or blind."),
            filed=("number", "How many requests were filed by then."),
            service=("text", "The service of the last request."),
            absorbed=("number", "How many faults it has absorbed."),
            incident=("text", "The state of the last incident, or how it ended."),
            says=("text", "Words that the request must contain."),
            because=("text", "Why, for people."),
        ),
    }
)
