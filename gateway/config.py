"""The configuration: one TOML file, checked whole before anything starts.

Every fault is a finding with file, line and help; a file with faults is not used. Paths are read
from the folder of the file. Secrets are never written here: the file names the files that hold
them, and those must be readable by their owner only.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
)

from gateway.errors import ConfigError
from gateway.secret_files import Secrets, broker_address, read_secrets
from rules.finding import Finding

CONFIG_BYTES_MAX = 1024 * 1024


Budget = Annotated[int, Field(ge=1, le=1_000_000)]
File = Annotated[Path, Field(strict=False)]
"""A path, read from the folder of the configuration."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BrokerSection(_Section):
    """Where the messages come from. `credentials`: the file that `sense311 broker` writes, or one
    of the same form: {"url": ..., "gateway": {"user": ..., "password": ...}}.
    """

    url: str | None = None
    credentials: File | None = None
    username: str | None = None
    password_file: File | None = None
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "sense311-gateway"
    ca_file: File | None = None
    certificate_file: File | None = None
    key_file: File | None = None

    @field_validator("url")
    @classmethod
    def _a_broker(cls, url: str | None) -> str | None:
        return url if url is None else broker_address(url)


class CitySection(_Section):
    """The 311 system, or the one for what is urgent. `profile`: a built-in name or a TOML file."""

    profile: str = "desk"
    endpoint: str
    api_key_file: File | None = None


class AssetsSection(_Section):
    files: Annotated[list[File], Field(min_length=1)]


class RulesSection(_Section):
    """`library`: the shipped rules. `files`: more rules, files or folders. `disable`: rules to
    leave out. `params`: "bin_full.high" = "85%".
    """

    library: bool = True
    files: list[File] = []
    disable: list[str] = []
    params: dict[str, str] = {}


class IngestSection(_Section):
    """`clock`: "system", or "follow" to let the data say what time it is (replay, accelerated
    simulation), from `follow_from` on: what is older is kept but not judged. `idle_s`: without a
    message for so long, everything that was sent has arrived.
    """

    clock: Literal["system", "follow"] = "system"
    follow_from: datetime | None = None
    idle_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    batch_max: Annotated[int, Field(ge=1, le=10_000)] = 1000
    allow_simulated: bool = False
    device_acks: bool = False
    device_status: bool = False
    device_per_minute_max: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_skew_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    max_age_h: Annotated[float, Field(ge=0.1, le=8760)] = 24.0

    @field_validator("follow_from")
    @classmethod
    def _with_zone(cls, at: datetime | None) -> datetime | None:
        if at is not None and at.tzinfo is None:
            raise ValueError("follow_from needs a time zone: 2026-01-15T12:00:00Z")
        return at


class SourceSection(_Section):
    """Messages on topics of their own. `format`: tts, chirpstack, sparkplug, ngsi, senml, the name
    of a codec for bytes alone, or "mapping" with the file that says how. `codec`: of the bytes
    within an envelope. `kind`: of devices that are no asset's.
    """

    topic: Annotated[str, Field(min_length=1, max_length=200)]
    format: Annotated[str, Field(min_length=1, max_length=64)]
    codec: str = ""
    kind: Literal["", "streetlight", "cabinet", "road", "bin"] = ""
    mapping: File | None = None


class StoreSection(_Section):
    """`retention_days` and `size_mb` bound the readings; incidents and requests are kept."""

    folder: File = Path("sense311-data")
    retention_days: Annotated[float, Field(gt=0, le=36_500)] = 365.0
    size_mb: Annotated[int, Field(ge=64)] = 20_000


class HistorySection(_Section):
    url: str
    org: str
    bucket: str
    token_file: File


class FilingSection(_Section):
    """`mode`: "live"; "approve", where a person lets each request pass; "dry-run". The budgets are
    of one service in one zone, `all_per_hour` of everything: what is over them waits for a person.
    """

    mode: Literal["live", "approve", "dry-run"] = "live"
    per_hour: Budget | None = None
    per_day: Budget | None = None
    all_per_hour: Budget | None = None


class EvidenceSection(_Section):
    """The evidence behind each request over HTTP, at this machine's `port`; `public_url` is where
    the city finds it, behind a server that you put before it.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8313
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None


class WebSection(_Section):
    """Pages over HTTP at this machine's `port`. `address`: only in a container, or behind a wall of
    your own, another than loopback. `hosts`: further names under which it is reached, those of the
    server that you put before it; any other is refused. `tiles`: "https://.../{z}/{x}/{y}.png".
    """

    port: Annotated[int, Field(ge=0, le=65_535)]
    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}$")] = "127.0.0.1"
    hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]] = []
    tiles: Annotated[str, Field(pattern=r"^https?://[^\s?#;,'\"]+$")] | None = None
    tiles_credit: Annotated[str, Field(max_length=200)] | None = None
    language: Literal["en", "es", "fr", "zh"] | None = None


class ConsoleSection(WebSection):
    """For the staff, and for programs with a token."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8311
    session_h: Annotated[float, Field(ge=0.1, le=168)] = 12.0


class PublicSection(WebSection):
    """For everybody: what was found and repaired, without devices and persons."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8312
    title: Annotated[str, Field(max_length=100)] | None = None


class LogsSection(_Section):
    format: Literal["text", "json"] = "text"


class Config(_Section):
    """The whole file, and where each key of it stands."""

    broker: BrokerSection
    city: CitySection
    assets: AssetsSection
    rules: RulesSection = RulesSection()
    ingest: IngestSection = IngestSection()
    store: StoreSection = StoreSection()
    history: HistorySection | None = None
    filing: FilingSection = FilingSection()
    source: list[SourceSection] = []
    emergency: CitySection | None = None
    evidence: EvidenceSection | None = None
    console: ConsoleSection | None = None
    public: PublicSection | None = None
    logs: LogsSection = LogsSection()
    _origin: tuple[str, str] = PrivateAttr(("", ""))

    def finding(self, keys: list[str], code: str, message: str, help_: str = "") -> Finding:
        """A fault of the value at `keys`, found by the room that uses it."""
        file, text = self._origin
        return Finding(file, *place(text, keys), code, message, help_)


def read_config(path: Path) -> tuple[Config, Secrets]:
    """The configuration and its secrets, for who connects with them. ConfigError: with all
    findings.
    """
    config, findings = _settings(path)
    secrets, faults = read_secrets(config)
    if findings or faults:
        raise ConfigError([*findings, *faults])
    return config, secrets


def read_settings(path: Path) -> Config:
    """The configuration alone, for who looks and writes beside the gateway: the secrets need not
    be there, as they are not where a service manager hands them out. ConfigError.
    """
    config, findings = _settings(path)
    if findings:
        raise ConfigError(findings)
    return config


def _settings(path: Path) -> tuple[Config, list[Finding]]:
    """And the files that it names in vain."""
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(match[1]), int(match[2])) if match else (1, 1)
        help_ = 'strings stand in quotes: name = "value"'
        raise ConfigError([Finding(str(path), line, column, "E401", str(error), help_)]) from None
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(list(_findings(str(path), text, error))) from None
    config._origin = (str(path), text)  # noqa: SLF001 -- it is still being made
    config = _rooted(config, path.parent)
    return config, list(_missing_files(config))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            help_ = "a configuration is a page; is this the right file?"
            raise ConfigError([Finding(str(path), 1, 1, "E400", "larger than 1 MiB", help_)])
        return data.decode("utf-8")
    except OSError as error:
        help_ = "an example stands in deploy/sense311.toml"
        message = f"cannot read: {error.strerror}"
        raise ConfigError([Finding(str(path), 1, 1, "E400", message, help_)]) from None
    except UnicodeDecodeError:
        help_ = "save it as UTF-8 text"
        raise ConfigError([Finding(str(path), 1, 1, "E400", "not UTF-8", help_)]) from None


_SHOWN = "deploy/sense311.toml shows every key with a good value"
_HELP = {
    "float_type": "a number without quotes",
    "int_type": "a whole number without quotes",
    "bool_type": "true or false, without quotes",
    "string_type": 'text stands in quotes: name = "value"',
    "path_type": 'a path stands in quotes: file = "rules/mine.yaml"',
    "list_type": 'a list stands in brackets: files = ["assets.geojson"]',
    "datetime_type": "a time stands without quotes: 2026-01-15T12:00:00Z",
    "model_type": "a section has a header of its own: [name]",
}


def _findings(file: str, text: str, error: ValidationError) -> Iterator[Finding]:
    for fault in error.errors(include_url=False, include_input=False):
        keys = [str(part) for part in fault["loc"]]
        line, column = place(text, keys)
        dotted = ".".join(keys)
        if fault["type"] == "extra_forbidden":
            known = _known(keys[:-1])
            near = get_close_matches(keys[-1], known, n=1)
            help_ = f"did you mean {near[0]}?" if near else f"keys here: {', '.join(known)}"
            yield Finding(file, line, column, "E402", f"unknown key {dotted}", help_)
        elif fault["type"] == "missing":
            yield Finding(file, line, column, "E403", f"missing {dotted}", _SHOWN)
        else:
            message = f"{dotted}: {fault['msg'].removeprefix('Value error, ')}"
            yield Finding(file, line, column, "E404", message, _HELP.get(fault["type"], _SHOWN))


def _known(path: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for key in path:
        annotation = model.model_fields[key].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)


def place(text: str, keys: list[str]) -> tuple[int, int]:
    """Line and column of a key, or of the nearest section above it that is there."""
    section: list[str] = []
    best = (0, 1, 1)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            section = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = section
        else:
            key = re.match(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""", line)
            if not key:
                continue
            here = [*section, key[1].strip("\"'")]
        depth = len(here) if keys[: len(here)] == here else 0
        if depth > best[0]:
            best = (depth, number, len(line) - len(line.lstrip()) + 1)
    return best[1], best[2]


def _rooted(config: Config, folder: Path) -> Config:
    """Paths in the file are meant from where the file is."""

    def root(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, list):
            return [root(item) for item in value]
        if isinstance(value, BaseModel):
            return value.model_copy(
                update={name: root(getattr(value, name)) for name in type(value).model_fields}
            )
        return value

    rooted: Config = root(config)
    for name in ("city", "emergency"):
        desk = getattr(rooted, name)
        if desk is not None and desk.profile.endswith(".toml"):
            moved = desk.model_copy(update={"profile": str(folder / desk.profile)})
            rooted = rooted.model_copy(update={name: moved})
    return rooted


def _missing_files(config: Config) -> Iterator[Finding]:
    """Inputs that are not there, and an output that cannot be."""
    named = [
        *((["assets", "files"], path) for path in config.assets.files),
        *((["rules", "files"], path) for path in config.rules.files),
        *(
            (["broker", key], path)
            for key in ("ca_file", "certificate_file")
            if (path := getattr(config.broker, key)) is not None
        ),
    ]
    for keys, path in named:
        if not path.exists():
            help_ = f"paths are read from the folder of this file, {path.parent}"
            yield config.finding(keys, "E410", f"there is no {path.name}", help_)
    folder = config.store.folder
    if folder.exists() and not folder.is_dir():
        help_ = "name a folder; the gateway makes it"
        yield config.finding(["store", "folder"], "E410", f"{folder} is not a folder", help_)
