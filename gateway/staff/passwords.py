"""Passwords of people: made, judged, hashed and compared.

The one room that knows how they are hashed: argon2id, 64 MiB and a tenth of a second for each, the
same whether or not there is anybody to compare with. Keeps nothing.
"""

import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

CHARS_MIN, CHARS_MAX = 12, 1024
_DIFFERENT_MIN, _BESIDES_MIN = 5, 8  # signs that differ; signs that are not the name
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
_NOBODY = f"$argon2id$v=19$m=65536,t=3,p=1${'A' * 22}${'A' * 43}"  # no password is known to fit


def new_password() -> str:
    """118 bits, in groups that can be read out over a telephone."""
    groups = ["".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(6)]
    return "-".join(groups)


def weakness(name: str, password: str) -> str:
    """What is wrong with it for this person, to follow "the password"; empty: nothing."""
    if len(password) < CHARS_MIN:
        return f"has fewer than {CHARS_MIN} characters"
    if len(password) > CHARS_MAX:
        return f"has more than {CHARS_MAX} characters"
    besides_the_name = password.lower().replace(name.lower() or " ", "")
    if len(set(password)) < _DIFFERENT_MIN or len(besides_the_name) < _BESIDES_MIN:
        return "is easy to guess"
    return ""


def hashed(password: str) -> str:
    return _HASHER.hash(_as_bytes(password))


def fits(hash_: str, password: str) -> bool:
    """An empty hash is nobody's: it takes as long, and nothing fits."""
    shown = password if len(password) <= CHARS_MAX else ""
    try:
        return _HASHER.verify(hash_ or _NOBODY, _as_bytes(shown))
    except (VerificationError, ValueError):  # ValueError: it is no hash
        return False


def _as_bytes(password: str) -> bytes:
    """The same however the keyboard composes letters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
