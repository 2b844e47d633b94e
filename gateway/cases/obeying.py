"""Orders carried out: what a person or the city says becomes steps of incidents and silences.

Pure. Each order is answered once, done or refused with the reason, and what was refused changes
nothing. What the steps mean for the city is the core's business.
"""

from collections.abc import Sequence

import msgspec

from gateway.cases import orders
from gateway.cases.incident import Step
from gateway.cases.incidents import Book, RefusedError
from gateway.cases.orders import Answer, Given
from gateway.cases.silences import Silence, faults_of


class Obedience:
    """The book under orders, and the silences in force."""

    def __init__(self, book: Book, silences: dict[int, Silence]) -> None:
        self._book = book
        self._silences = silences

    def carry_out(self, given: Given, now_ms: int) -> tuple[Answer, Sequence[Step]]:
        """`now_ms`: up to when the rules have taken time to have passed."""
        try:
            steps, text = self._carried_out(given, now_ms)
        except RefusedError as no:
            return Answer(given.id, done=False, text=str(no)), ()
        return Answer(given.id, done=True, text=text), steps

    def _carried_out(self, given: Given, now_ms: int) -> tuple[Sequence[Step], str]:
        book, steps = self._book, list[Step]()
        match given.order:
            case orders.Silenced(silence):
                self._silence(given.id, silence)
                text = f"silence {given.id} is in force"
            case orders.Unsilenced(number):
                self._end(number, now_ms)
                steps, text = book.unhush(now_ms), f"silence {number} is over"
            case orders.Merged(number, into):
                steps = book.merge(number, into, now_ms)
                text = f"incident {number} is part of {into}"
            case orders.Split(number):
                steps, text = book.split(number, now_ms), f"incident {number} stands for itself"
            case orders.Reopened(number):
                steps, text = book.reopen(number, now_ms), f"incident {number} is asked for again"
            case orders.CityClosed(number, request_id, after_s):
                steps = book.closed(number, request_id, now_ms + 1000 * after_s, now_ms)
                text = "noted"
            case orders.CityReopened(number):
                steps, text = book.opened(number, now_ms), "noted"
        return steps, text

    def _silence(self, number: int, silence: Silence) -> None:
        faults = faults_of(silence)
        if faults:
            raise RefusedError("; ".join(faults))
        self._silences[number] = silence

    def _end(self, number: int, now_ms: int) -> None:
        silence = self._silences.get(number)
        if silence is None or silence.ended_ms is not None:
            raise RefusedError(f"there is no silence {number} in force")
        self._silences[number] = msgspec.structs.replace(silence, ended_ms=now_ms)
