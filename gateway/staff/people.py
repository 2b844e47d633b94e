"""Who looks and who acts: people and programs, by name and role.

Records and one question only; who is who is settled in `accounts`, what each deed asks for in
`deeds`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    """Sees everything, changes nothing."""
    OPERATOR = "operator"
    """Steps in: approves, holds back, links, silences, opens again, adopts devices."""
    ADMIN = "admin"
    """Changes what the gateway does by itself: rules, and stopping all filing."""

    def covers(self, needed: "Role") -> bool:
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has shown who they are: a user of the console, or a program with a token."""

    name: str
    """As it stands in the log: `ana`, or `token:dispatch`."""
    role: Role
