"""What one installation's page is made with: its name, its city's clocks and language, its map.

Read once, from the configuration and the city's profile; holds no secret.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.cityhall.profile import Profile, read_profile
from gateway.config import PublicSection, read_settings

TITLE = "sense311"


@dataclass(frozen=True, slots=True)
class Site:
    profile: Profile
    section: PublicSection
    database: Path
    log_format: Literal["text", "json"] = "text"

    @property
    def title(self) -> str:
        return self.section.title or TITLE

    @property
    def language(self) -> str:
        """For who has not chosen one."""
        return self.section.language or self.profile.language

    @property
    def time_zone(self) -> str:
        return self.profile.timezone

    def date_at(self, now_ms: int) -> date:
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
        return at.astimezone(ZoneInfo(self.time_zone)).date()

    def root(self, host: str) -> str:
        """Under which it is known: its configured name, else as it was called."""
        hosts = self.section.hosts
        return f"https://{hosts[0]}" if hosts else f"http://{host}"


def read_site(config_path: Path) -> Site:
    """ConfigError. Without a section [public], as if it stood there empty."""
    config = read_settings(config_path)
    database = config.store.folder / "sense311.db"
    section = config.public or PublicSection()
    return Site(read_profile(config.city.profile), section, database, config.logs.format)
