"""What can go wrong in the gateway, split by what the caller must do.

GatewayError
├── ConfigError      refuse to start: a person has to mend a file (carries findings)
└── StoreError       acknowledge nothing
    ├── StoreFull    wait for room, then read the state again and go on
    └── StoreBroken  stop: after a failed write to disk nothing in memory can be trusted

Refused messages and refused requests are not here: they are values, counted and kept.
"""

from collections.abc import Sequence

from rules.finding import Finding


class GatewayError(Exception):
    """Base of all."""


class ConfigError(GatewayError):
    """A configuration, asset or rule file cannot be used."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = list(findings)


class StoreError(GatewayError):
    """The store did not take a transaction; nothing of it is in effect."""


class StoreFull(StoreError):  # noqa: N818
    """No room on the disk."""


class StoreBroken(StoreError):  # noqa: N818
    """The disk failed, or the file is not ours to use."""
