"""How much one device may say in a minute, so that one gone mad does not drown the rest.

Pure but for its own count. What is over it is refused and its number is not taken for arrived: a
device that keeps its readings until they are acknowledged sends them again, and loses nothing.
"""

from gateway.refusal import Reason, Refusal

MINUTE_MS = 60_000


class Quota:
    """`per_minute_max`: messages of one device, a batch being one; None: as many as it likes."""

    def __init__(self, per_minute_max: int | None) -> None:
        self._max = per_minute_max
        self._minute = 0
        self._said: dict[str, int] = {}
        """Of this minute."""

    def refusal(self, device: str, now_ms: int) -> Refusal | None:
        """Counts a message; why it is one too many. `now_ms`: the time of receipt."""
        if self._max is None:
            return None
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self._said = minute, {}
        said = self._said[device] = self._said.get(device, 0) + 1
        if said <= self._max:
            return None
        message = f"more than {self._max} messages of {device} in a minute"
        hint = "send less often, or several readings as one batch; keep them until `ack`"
        return Refusal(Reason.OVER_QUOTA, "topic", message, hint)
