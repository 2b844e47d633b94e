"""What kinds and standings are called for people, and what each standing means.

Owns these words only. A service that a city added by itself is called by its own code.
"""

from collections.abc import Iterable

from gateway.phrases import Phrases
from gateway.views.public_record import Standing


def kinds(services: Iterable[str], words: Phrases) -> dict[str, str]:
    """Service -> its name."""
    known = {
        "STREETLIGHT_OUT": words.say("Street light out"),
        "STREETLIGHT_DAY_BURNER": words.say("Street light on by day"),
        "STREETLIGHT_CIRCUIT": words.say("Street lights of a circuit out"),
        "BIN_FULL": words.say("Bin full"),
        "BIN_FIRE": words.say("Bin on fire"),
        "POTHOLE": words.say("Pothole"),
    }
    return {name: known.get(name) or name.replace("_", " ").capitalize() for name in services}


def standings(words: Phrases) -> dict[Standing, str]:
    """Standing -> its name."""
    return {
        Standing.OPEN: words.say("Waits for repair"),
        Standing.OVER: words.say("Over, not closed yet"),
        Standing.REPAIRED: words.say("Repaired"),
        Standing.CLOSED: words.say("Closed, not confirmed yet"),
        Standing.NOT_REPAIRED: words.say("Closed, but not repaired"),
        Standing.DUPLICATE: words.say("Duplicate"),
        Standing.MISTAKEN: words.say("No fault after all"),
    }


def meanings(words: Phrases) -> dict[Standing, str]:
    """Standing -> what it says."""
    return {
        Standing.OPEN: words.say("The city has not closed it, and the sensor still shows it."),
        Standing.OVER: words.say(
            "The sensor shows that the fault is over; the city has not closed the request yet."
        ),
        Standing.REPAIRED: words.say(
            "The city has closed it, and the sensor shows that the fault is over."
        ),
        Standing.CLOSED: words.say(
            "The city has closed it; the sensor has not shown yet that the fault is over."
        ),
        Standing.NOT_REPAIRED: words.say(
            "The city had closed it, and the sensor showed the fault again afterwards."
        ),
        Standing.DUPLICATE: words.say("The city has closed it as a duplicate of another request."),
        Standing.MISTAKEN: words.say(
            "A measurement that arrived late showed that there had been no fault."
        ),
    }
