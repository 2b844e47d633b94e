"""Why a deed was not done, as an outcome: each error that is expected of a deed, and its code.

An error that is not here is a fault of ours and goes on its way.
"""

from gateway.books.by_hand import NotPossibleError, NotThereError
from gateway.cityhall.outbox import RowChangedError
from gateway.errors import ConfigError, StoreError
from gateway.inventory.adopting import NotAdoptedError
from gateway.staff.deed import Code, NotDoneError, Outcome
from gateway.staff.rule_files import ChangedError, NotOursError

_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (NotThereError, Code.NOT_FOUND),
    (NotPossibleError, Code.REFUSED),
    (NotOursError, Code.REFUSED),
    (RowChangedError, Code.CONFLICT),
    (ChangedError, Code.CONFLICT),
    (NotAdoptedError, Code.REFUSED),
    (ConfigError, Code.INVALID),
    (StoreError, Code.FAILED),
    (OSError, Code.FAILED),
)
EXPECTED: tuple[type[Exception], ...] = (NotDoneError, *(kind for kind, _ in _CODES))


def outcome_of(error: Exception) -> Outcome:
    """Of one of EXPECTED."""
    if isinstance(error, NotDoneError):
        return error.outcome
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    if isinstance(error, NotAdoptedError) and error.missing:
        code = Code.NOT_FOUND
    findings = error.findings if isinstance(error, ConfigError) else ()
    return Outcome(code, _in_words(error), findings=findings)


def _in_words(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return (
            f"nothing is written: {error.findings[0]}" if error.findings else "nothing is written"
        )
    if isinstance(error, OSError):
        return f"a file did not take it: {error.strerror or type(error).__name__}"
    if isinstance(error, RowChangedError):
        return f"{error} was moved by somebody else just now: look again"
    return str(error)
