"""Reload: other rules come in while the gateway runs, or stay out and say why.

Owns the way from being asked (a signal, a request in the store's folder) to an offer: the files
are read and checked whole in a thread of its own, so that messages go on being taken; and from the
offer to its outcome, for which the core's thread calls it between two batches. What was asked for
while the files were being read is answered by reading them once more. Never touches the core or the
store itself.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.cityhall.requests import rfc3339
from gateway.errors import ConfigError, StoreError
from gateway.plans import Plans, revised
from gateway.watch.logs import Log, Said
from gateway.watch.status import take_reload_requests
from rules.finding import Finding

FINDINGS_TOLD = 20  # the status stays small; `sense311 check` has them all
NOT_USABLE = "the rule files cannot be used: the rules from before stay in force"

log = Log(__name__)


class Offer(NamedTuple):
    """What the files say now: plans, or why there are none. `asked`: the tickets it answers."""

    plans: Plans | None
    findings: Sequence[Finding]
    asked: Sequence[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the last attempt. `result`: started | loaded | unchanged | refused."""

    number: int
    at_ms: int
    result: str
    problem: str = ""
    findings: Sequence[Finding] = ()
    asked: Sequence[str] = ()
    at_restart: Sequence[str] = ()
    """Sections of the configuration that changed too: they wait for the next start."""

    @property
    def refused(self) -> bool:
        return self.result == "refused"

    def told(self) -> dict[str, Any]:
        """For the status."""
        shown = self.findings[:FINDINGS_TOLD]
        return {
            "number": self.number,
            "at": rfc3339(self.at_ms),
            "result": self.result,
            "problem": self.problem,
            "findings": [_plain(finding) for finding in shown],
            "findings_left_off": len(self.findings) - len(shown),
            "at_restart": list(self.at_restart),
            "asked": list(self.asked),
        }


class Reloader:
    """Reads the files again when asked, one time after the other."""

    def __init__(self, folder: Path, read: Callable[[], Plans], plans: Plans, now_ms: int) -> None:
        """`plans`: those that the gateway starts with."""
        self._folder, self._read = folder, read
        self.outcome = Outcome(0, now_ms, "started")
        if plans.broken:
            self.outcome = Outcome(0, now_ms, "refused", NOT_USABLE, plans.broken)
        self._signalled = threading.Event()
        self._reading: threading.Thread | None = None
        self._offer: Offer | None = None

    def ask(self) -> None:
        """From a signal handler or another thread."""
        self._signalled.set()

    def look(self) -> None:
        """Begin to read, if somebody asked and nothing is being read."""
        if self._reading is not None:
            return
        asked = take_reload_requests(self._folder)
        if asked or self._signalled.is_set():
            self._signalled.clear()
            self._reading = threading.Thread(
                target=self._read_files, args=(asked,), name="reload", daemon=True
            )
            self._reading.start()

    def take(self) -> Offer | None:
        """What has been read, once."""
        if self._reading is None or self._reading.is_alive():
            return None
        self._reading = None
        offer, self._offer = self._offer, None
        return offer

    def answer(
        self, offer: Offer, plans: Plans, put_in_force: Callable[[Plans], None], now_ms: int
    ) -> None:
        """Have an offer put in force, or say why not. StoreError: nothing has changed."""
        number = self.outcome.number + 1
        findings, problem, waiting = offer.findings, NOT_USABLE, list[str]()
        result = "refused"
        try:
            if offer.plans is not None:
                plans_then, waiting = revised(plans, offer.plans)
                same = (plans_then.texts, plans_then.city) == (plans.texts, plans.city)
                if not same:
                    put_in_force(plans_then)
                result, problem = "unchanged" if same else "loaded", ""
        except ConfigError as error:
            findings = error.findings
        except StoreError as error:
            problem = f"{error}: the rules from before stay in force"
            raise
        except Exception:
            log.exception(Said.RULES_FAILED, "the new rules broke the core")
            problem = "the gateway failed on the new rules, see its log: those from before stay"
        finally:
            self.outcome = Outcome(number, now_ms, result, problem, findings, offer.asked, waiting)
            self._log(offer.plans or plans)

    def _log(self, plans: Plans) -> None:
        outcome = self.outcome
        if outcome.refused:
            log.error(Said.RELOAD_REFUSED, "the reload was refused", why=outcome.problem)
        else:
            version, result = plans.bundle.version, outcome.result
            log.warning(Said.RELOADED, "the rules were read again", result=result, version=version)
        tell_findings(outcome.findings)

    def _read_files(self, asked: Sequence[str]) -> None:
        try:
            plans = self._read()
            self._offer = Offer(plans, plans.warnings, asked)
        except ConfigError as error:
            self._offer = Offer(None, error.findings, asked)
        except Exception:
            log.exception(Said.FILES_FAILED, "reading the files again failed")
            finding = Finding("", 1, 1, "E414", "the gateway failed on these files", "see its log")
            self._offer = Offer(None, [finding], asked)


def tell_findings(findings: Sequence[Finding]) -> None:
    """What is wrong with the files, or only doubtful."""
    for finding in findings:
        if finding.code.startswith("E"):
            log.error(Said.RULES_ERROR, "the files hold an error", finding=finding)
        else:
            log.warning(Said.RULES_WARNING, "the files hold what is doubtful", finding=finding)


def _plain(finding: Finding) -> dict[str, Any]:
    named = ("file", "line", "column", "code", "message", "help")
    return {name: getattr(finding, name) for name in named}
