"""Counters: what passed through the gateway since this process began.

For the status; what has to outlive the process is counted from the store. No decisions.
"""

from dataclasses import dataclass, field

from gateway.effects import Effects


@dataclass(slots=True)
class Counters:
    """Since the start of this process."""

    messages: int = 0
    readings: int = 0
    duplicates: int = 0
    refusals: int = 0
    batches: int = 0
    requests: int = 0
    unfiled: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, messages: int, effects: Effects) -> None:
        self.batches += 1
        self.messages += messages
        self.readings += len(effects.readings)
        self.duplicates += effects.duplicates
        self.refusals += len(effects.refusals)
        self.requests += len(effects.outbox)
        self.unfiled += len(effects.unfiled)
        for refusal in effects.refusals:
            self.reasons[refusal.reason] = self.reasons.get(refusal.reason, 0) + 1
