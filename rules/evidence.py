"""What an explanation is made from: a rule's state, its conditions as judged, its incident.

Records that are handed in by whoever ran the history; nothing is worked out here but how long the
present timer has run.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rules.instance import Instance
from rules.interpret import Traced
from rules.rule import Rule, Truth
from rules.wording import duration_text

Written = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The conditions of a rule as they were judged at an instant, with all that they came to."""

    at_ms: int
    when: Traced
    unless: Traced | None = None
    clear: Traced | None = None

    @property
    def fires(self) -> Truth:
        """`when and not unless`."""
        if self.when.value is False or self.unless is None:
            truth: Truth = self.when.value
            return truth
        excluded = self.unless.value
        return False if excluded is True else None if excluded is None else self.when.value


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of the incident that the rule opened."""

    state: str
    why: str
    fired_ms: int
    due_ms: int
    is_open: bool
    cleared_ms: int | None = None
    parent: str = ""
    """The fault that it waits for, or that explains it."""
    service: str = ""
    """What was asked of the city, and when."""
    filed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an explanation is made from."""

    rule: Rule
    subject: str
    at_ms: int
    state: Instance
    sample_ms: int | None
    """The last sample."""
    judgement: Judgement | None
    """None: nothing has been judged yet."""
    standing: Standing | None = None

    def held_text(self, of_ms: int) -> str:
        """For how long the present timer has run, at most as long as it is to run."""
        state = self.state
        since_ms = max(0, self.at_ms - state.mark_ms) if state.running else 0
        return duration_text(min(of_ms, state.held_ms + since_ms))
