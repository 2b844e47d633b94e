"""A finding: one thing wrong with a file that a person wrote, and how to mend it.

Rule files and the configuration are checked before anything runs; both report in this form. A
finding is a value, never an exception, so that all of a file's faults are told at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """Characters [column, end_column) of the finding's line, and what to say of them."""

    column: int
    end_column: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` and `column` count from 1; `code` is stable (E...: refused, W...: worth a look)."""

    file: str
    line: int
    column: int
    code: str
    message: str
    help: str = ""
    marks: tuple[Mark, ...] = ()
    """What exactly is meant, where it is known: the first is the fault, the others explain it."""

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def __str__(self) -> str:
        hint = f"\n    = help: {self.help}" if self.help else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}{hint}"
