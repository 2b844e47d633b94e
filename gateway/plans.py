"""Plans: all that is read from files, checked whole, before anything starts.

Brings together what the configuration names (assets, rules, the city's profile, addresses) and what
they demand of each other. Every fault is a finding with its place; with one that is an error there
are no plans. The texts of the rules stay with them, so that the rules in force can outlive their
files. Opens no connection and makes no folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import SecretStr, ValidationError

from gateway.broker_settings import BrokerSettings, tls_context
from gateway.cityhall.delivery import CITY, EMERGENCY
from gateway.cityhall.georeport_http import EndpointError, check_endpoint
from gateway.cityhall.profile import Profile, ProfileError, read_profile
from gateway.codecs import codecs
from gateway.config import CitySection, Config
from gateway.effects import Settings
from gateway.envelopes import envelopes
from gateway.envelopes.mapping import read_mapping
from gateway.errors import ConfigError
from gateway.inventory.assets import City, read_assets
from gateway.secret_files import NO_SECRETS, Secrets
from gateway.sources import Source
from rules.files import load, read_folder, read_library
from rules.finding import Finding
from rules.rule import Bundle

if TYPE_CHECKING:
    from gateway.history import HistoryConfig


class RuleTexts(msgspec.Struct, frozen=True):
    """A bundle before it is read: all that it is made from."""

    sources: Mapping[str, str] = {}
    """File name -> YAML text."""
    params: Mapping[str, str] = {}
    disable: Sequence[str] = ()

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode("utf-8")

    @classmethod
    def from_json(cls, text: str) -> "RuleTexts":
        return msgspec.json.decode(text, type=cls)

    def whole(self) -> tuple[Bundle | None, list[Finding]]:
        """All of the rules, also those that are left out."""
        return load(self.sources, self.params)

    def without(self, bundle: Bundle) -> Bundle:
        """The rules that are in force of the whole."""
        kept = {name: rule for name, rule in bundle.rules.items() if name not in self.disable}
        return replace(bundle, rules=kept)


@dataclass(frozen=True, slots=True)
class Plans:
    """All that is read from files, checked, before anything starts."""

    config: Config
    secrets: Secrets
    city: City
    bundle: Bundle
    profile: Profile
    history: "HistoryConfig | None"
    texts: RuleTexts
    """What `bundle` is made from."""
    sources: Sequence[Source] = ()
    """Of messages in envelopes."""
    emergency: Profile | None = None
    """Of the desk for what is urgent, if there is one."""
    warnings: Sequence[Finding] = ()
    broken: Sequence[Finding] = ()
    """Why the rules are not those of the files: these could not be used."""

    def desks(self) -> Iterator[tuple[str, CitySection, str, Profile]]:
        """Name, section, key and profile of each desk; the city's first."""
        yield CITY, self.config.city, _shown(self.secrets.api_key), self.profile
        if self.config.emergency is not None and self.emergency is not None:
            key = _shown(self.secrets.emergency_key)
            yield EMERGENCY, self.config.emergency, key, self.emergency

    def broker_settings(self) -> BrokerSettings:
        """With whom, as whom, and for which topics."""
        secrets, broker = self.secrets, self.config.broker
        return BrokerSettings(
            secrets.broker_url,
            secrets.broker_user,
            _shown(secrets.broker_password) or None,
            broker.client_id,
            broker.ca_file,
            broker.certificate_file,
            broker.key_file,
            tuple(source.topic for source in self.sources),
        )

    def evidence_url(self) -> str:
        """Under which the city finds the evidence; empty where it does not."""
        section = self.config.evidence
        return section.public_url.rstrip("/") if section and section.public_url else ""

    def settings_again(self) -> Settings:
        """How stored readings are judged again: what was simulated had been let in."""
        ingest = self.config.ingest
        return Settings(
            allow_simulated=True,
            max_skew_ms=int(ingest.max_skew_s * 1000),
            max_age_ms=int(ingest.max_age_h * 3_600_000),
        )

    def rules_told(self) -> dict[str, Any]:
        """Which rules these are."""
        rules = self.bundle.rules.values()
        shadow = [rule.id for rule in rules if rule.in_shadow]
        return {"version": self.bundle.version, "count": len(rules), "shadow": shadow}


def prepare(config: Config, secrets: Secrets = NO_SECRETS) -> Plans:
    """Read what the configuration names. ConfigError: with the findings of all of it."""
    texts, findings = read_rules(config)
    return _prepare(config, secrets, texts, findings)


def prepare_with(texts: RuleTexts, config: Config, secrets: Secrets = NO_SECRETS) -> Plans:
    """As `prepare`, with rules that were in force before, whatever the files say now."""
    return _prepare(config, secrets, texts, [])


def _prepare(
    config: Config, secrets: Secrets, texts: RuleTexts, rule_findings: Sequence[Finding]
) -> Plans:
    city, findings = read_assets(config.assets.files)
    bundle, faults = texts.whole()
    findings = [*findings, *rule_findings, *faults]
    if bundle is not None:
        findings.extend(_unknown(config, texts.disable, bundle))
        bundle = texts.without(bundle)
    profile = _profile(config.city, findings)
    emergency = _profile(config.emergency, findings)
    if bundle is not None and profile is not None:
        findings.extend(_unserved(bundle, profile, emergency, config))
    findings.extend(_unreachable(config))
    sources = _sources(config, findings)
    try:
        history = _history_config(config, secrets)
    except ValueError as error:  # pydantic's, without the input
        history = None
        findings.append(_bad_history(config, error))
    errors = [finding for finding in findings if finding.code.startswith("E")]
    if errors or bundle is None or profile is None:
        raise ConfigError(findings)
    city = replace(city, time_zone=profile.timezone)
    return Plans(
        config, secrets, city, bundle, profile, history, texts, sources, emergency, findings
    )


def _sources(config: Config, findings: list[Finding]) -> list[Source]:
    """Those that can be used; a finding for each of the others."""
    sources = []
    for section in config.source:
        mapping = None
        if section.mapping is not None:
            mapping = read_mapping(section.mapping)
        if isinstance(mapping, list):
            findings.extend(mapping)
            continue
        for name, known in (
            (section.format, ("mapping", *envelopes(), *codecs())),
            (section.codec, ("", *codecs())),
        ):
            if name not in known:
                message = f"no format or codec {name!r}"
                help_ = f"there are {', '.join(filter(None, known))}"
                findings.append(config.finding(["source"], "E415", message, help_))
        if (section.format == "mapping") != (mapping is not None):
            help_ = 'format = "mapping" and mapping = "vendor.toml" go together'
            findings.append(config.finding(["source"], "E415", "a mapping without its file", help_))
        fields = section.topic, section.format, section.codec, section.kind
        sources.append(Source(*fields, mapping))
    return sources


def _profile(section: CitySection | None, findings: list[Finding]) -> Profile | None:
    """None where there is none, or none that can be used."""
    if section is None:
        return None
    try:
        return read_profile(section.profile)
    except ProfileError as error:
        findings.extend(error.findings)
        return None


def revised(plans: Plans, news: Plans) -> tuple[Plans, list[str]]:
    """The plans in force with the rules and assets of others, and the sections of the configuration
    that differ too but wait for the next start. ConfigError: the rules need such a section.
    """
    unserved = _unserved(news.bundle, plans.profile, plans.emergency, plans.config)
    if unserved:
        message = "in the profile in force: a changed [city] needs a restart of the gateway"
        raise ConfigError([replace(finding, help=message) for finding in unserved])
    waiting = [
        name
        for name in type(plans.config).model_fields
        if name not in ("rules", "assets")
        and getattr(plans.config, name) != getattr(news.config, name)
    ]
    changed = replace(
        plans, city=news.city, bundle=news.bundle, texts=news.texts, warnings=news.warnings
    )
    return replace(changed, broken=()), waiting


def read_rules(config: Config) -> tuple[RuleTexts, list[Finding]]:
    """The texts of the rules that the configuration names; a finding for each that is not there."""
    sources = read_library() if config.rules.library else {}
    findings = []
    for path in config.rules.files:
        try:
            whole = path.is_file()  # with its line ends as they are: it may be edited in place
            text = {str(path): path.read_bytes().decode("utf-8")} if whole else read_folder(path)
        except (OSError, UnicodeDecodeError) as error:
            help_ = "rules.files names rule files or folders of them"
            findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}", help_))
            continue
        sources |= text
    return RuleTexts(sources, config.rules.params, config.rules.disable), findings


def _shown(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


def _unknown(config: Config, disable: Sequence[str], bundle: Bundle) -> Iterator[Finding]:
    """Rules to be left out that are not there."""
    for rule in disable:
        if rule not in bundle.rules:
            known = ", ".join(bundle.rules)
            yield config.finding(["rules", "disable"], "E409", f"no rule {rule!r}", known)


def _unserved(
    bundle: Bundle, profile: Profile, emergency: Profile | None, config: Config
) -> list[Finding]:
    """Rules whose service the city does not offer: better known now than when a lamp fails."""
    findings = []
    for rule in bundle.rules.values():
        urgent = rule.file is not None and rule.file.urgent and emergency is not None
        asked, desk = (emergency, config.emergency) if urgent else (profile, config.city)
        assert asked is not None
        assert desk is not None
        if rule.file is None or rule.file.service in asked.services:
            continue
        file, _, line = rule.source.rpartition(":")
        service, name = rule.file.service, desk.profile
        message = f"{rule.id} files {service}, which the city profile {name!r} does not map"
        help_ = f'services there: {", ".join(asked.services)}; or rules.disable = ["{rule.id}"]'
        findings.append(Finding(file or name, int(line or 1), 1, "E407", message, help_))
    return findings


def _unreachable(config: Config) -> Iterator[Finding]:
    """Addresses and certificates that cannot be right, whatever the network says."""
    for name in ("city", "emergency"):
        try:
            if (desk := getattr(config, name)) is not None:
                check_endpoint(desk.endpoint)
        except EndpointError as error:
            help_ = 'endpoint = "https://311.example.org/open311/v2"; http only on this machine'
            yield config.finding([name, "endpoint"], "E411", str(error), help_)
    broker = config.broker
    try:
        tls_context(broker.ca_file)
    except OSError as error:
        help_ = "a PEM file with the certificate of the broker's authority"
        message = f"ca_file cannot be used: {error.strerror or error}"
        yield config.finding(["broker", "ca_file"], "E412", message, help_)
    try:
        tls_context(None, broker.certificate_file, broker.key_file)
    except OSError as error:
        help_ = "PEM files: the gateway's certificate, and its key without a pass phrase"
        message = f"certificate_file and key_file do not serve: {error.strerror or error}"
        yield config.finding(["broker", "certificate_file"], "E412", message, help_)


def _history_config(config: Config, secrets: Secrets) -> "HistoryConfig | None":
    section, token = config.history, secrets.history_token
    if section is None or token is None:
        return None
    from gateway.history import HistoryConfig  # its client is a quarter of the start-up time

    return HistoryConfig(url=section.url, org=section.org, bucket=section.bucket, token=token)


def _bad_history(config: Config, error: ValueError) -> Finding:
    assert isinstance(error, ValidationError)
    fault = error.errors(include_url=False, include_input=False)[0]
    key = str(fault["loc"][0])
    message = f"history.{key}: {fault['msg'].removeprefix('Value error, ')}"
    help_ = 'url = "https://influx.example.org:8086", with the org and the bucket that it knows'
    return config.finding(["history", key], "E413", message, help_)
