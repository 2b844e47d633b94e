"""What is sent back: a body with its mark, made once and kept while the record is the same.

Owns the memory for it, which is bounded in bytes: what was not asked for lately is made again.
"""

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

KEPT_BYTES_MAX = 64 * 1024 * 1024
GZIP_BYTES_MIN = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    media_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    max_age_s: int = 60


@dataclass(frozen=True, slots=True)
class Packed:
    """An answer with its entity tag, and as a smaller body for who can unpack it."""

    answer: Answer
    tag: str
    small: bytes | None

    @property
    def size(self) -> int:
        return len(self.answer.body) + len(self.small or b"")


def packed(answer: Answer) -> Packed:
    small = None
    if len(answer.body) >= GZIP_BYTES_MIN:
        small = gzip.compress(answer.body, 1, mtime=0)
    return Packed(answer, hashlib.sha256(answer.body).hexdigest()[:24], small)


class Kept:
    """Answers by their questions, those asked for last. Any thread may ask."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._answers: OrderedDict[Hashable, Packed] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: Hashable, make: Callable[[], Answer]) -> Packed:
        """Kept, or made now."""
        with self._lock:
            found = self._answers.get(question)
            if found is not None:
                self._answers.move_to_end(question)
                return found
        made = packed(make())
        with self._lock:
            if question not in self._answers:
                self._answers[question] = made
                self._bytes += made.size
            while self._bytes > self._bytes_max:
                self._bytes -= self._answers.popitem(last=False)[1].size
        return made
