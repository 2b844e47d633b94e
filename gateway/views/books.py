"""The books as those see them who look on: the store's file, the status, the plans in force.

Reads beside the running gateway and never writes. The plans are those that the gateway said last
that it has in force, read again when it says others; while that fails the earlier ones stand.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.books.ledger import mark_of, rules_in_force
from gateway.clock import Clock, SystemClock
from gateway.config import Config, read_settings
from gateway.errors import ConfigError, StoreError
from gateway.plans import Plans, RuleTexts, prepare, prepare_with
from gateway.watch.logs import Log, Said
from gateway.watch.status import read_status

NOT_RUNNING = {"state": "red", "problem": "the gateway has never run here", "at_ms": 0}

log = Log(__name__)


@dataclass(slots=True)
class Books:
    """Of one gateway, by its configuration file. Any thread may ask."""

    config_path: Path
    clock: Clock = field(default_factory=SystemClock)
    _plans: Plans | None = None
    _version: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def config(self) -> Config:
        return self.plans().config

    @property
    def folder(self) -> Path:
        return self.config.store.folder

    @property
    def database(self) -> Path:
        return self.folder / "sense311.db"

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def status(self) -> dict[str, Any]:
        """What the gateway said last of itself; red where that is long ago, or it never ran."""
        return _status(self.folder, self.now_ms())

    def mark(self) -> tuple[int, ...]:
        """Another value after whatever happened to incidents, requests and orders. StoreBroken."""
        return mark_of(self.database) if self.database.exists() else ()

    def plans(self) -> Plans:
        """Those in force. ConfigError: there are none yet, and the files are broken."""
        with self._lock:
            if self._plans is None:
                self._plans = _in_force(self.config_path)
            said = _status(self._plans.config.store.folder, self.now_ms()).get("rules", {})
            version = f"{said.get('version', '')} {said.get('since', '')}"
            if version != self._version:
                self._version = version
                try:
                    self._plans = _in_force(self.config_path)
                except (ConfigError, StoreError) as error:
                    log.warning(
                        Said.PLANS_UNREADABLE, "the plans in force cannot be read", why=error
                    )
            return self._plans


def _status(folder: Path, now_ms: int) -> dict[str, Any]:
    try:
        return read_status(folder, now_ms)
    except (OSError, ValueError):
        return dict(NOT_RUNNING)


def _in_force(path: Path) -> Plans:
    config = read_settings(path)
    database = config.store.folder / "sense311.db"
    kept = rules_in_force(database)
    if kept:
        return prepare_with(RuleTexts.from_json(kept), config)
    return prepare(config)
