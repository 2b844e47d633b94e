"""Plans: all that is read from files, checked whole, before anything starts.

Brings together what the configuration names (assets, rules, the city's profile, addresses) and what
they demand of each other. Every fault is a finding with its place; with one that is an error there
are no plans. Opens no connection and makes no folder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gateway.assets import City, read_assets
from gateway.broker import tls_context
from gateway.config import Config, Secrets
from gateway.errors import ConfigError
from gateway.georeport_http import EndpointError, check_endpoint
from gateway.profile import Profile, ProfileError, read_profile
from rules.files import load, read_folder, read_library
from rules.finding import Finding
from rules.rule import Bundle

if TYPE_CHECKING:
    from gateway.history import HistoryConfig


@dataclass(frozen=True, slots=True)
class Plans:
    """All that is read from files, checked, before anything starts."""

    config: Config
    secrets: Secrets
    city: City
    bundle: Bundle
    profile: Profile
    history: "HistoryConfig | None"
    warnings: Sequence[Finding] = ()


def prepare(config: Config, secrets: Secrets) -> Plans:
    """Read what the configuration names. ConfigError: with the findings of all of it."""
    city, findings = read_assets(config.assets.files)
    bundle, rule_findings = _load_rules(config)
    findings = [*findings, *rule_findings]
    profile = None
    try:
        profile = read_profile(config.city.profile)
    except ProfileError as error:
        findings.extend(error.findings)
    if bundle is not None and profile is not None:
        findings.extend(_unserved(bundle, profile, config.city.profile))
    findings.extend(_unreachable(config))
    try:
        history = _history_config(config, secrets)
    except ValueError as error:  # pydantic's, without the input
        history = None
        findings.append(_bad_history(config, error))
    errors = [finding for finding in findings if finding.code.startswith("E")]
    if errors or bundle is None or profile is None:
        raise ConfigError(findings)
    return Plans(config, secrets, city, bundle, profile, history, findings)


def _load_rules(config: Config) -> tuple[Bundle | None, list[Finding]]:
    sources = read_library() if config.rules.library else {}
    findings = []
    for path in config.rules.files:
        try:
            text = {str(path): path.read_text("utf-8")} if path.is_file() else read_folder(path)
        except (OSError, UnicodeDecodeError) as error:
            help_ = "rules.files names rule files or folders of them"
            findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}", help_))
            continue
        sources |= text
    bundle, faults = load(sources, config.rules.params)
    if bundle is None or findings:
        return None, [*findings, *faults]
    unknown = [rule for rule in config.rules.disable if rule not in bundle.rules]
    faults += [
        config.finding(["rules", "disable"], "E409", f"no rule {rule!r}", ", ".join(bundle.rules))
        for rule in unknown
    ]
    return _without(bundle, set(config.rules.disable)), faults


def _without(bundle: Bundle, disabled: set[str]) -> Bundle:
    left = {rule_id: rule for rule_id, rule in bundle.rules.items() if rule_id not in disabled}
    return replace(bundle, rules=left)


def _unserved(bundle: Bundle, profile: Profile, name: str) -> list[Finding]:
    """Rules whose service the city does not offer: better known now than when a lamp fails."""
    return [
        Finding(
            rule.source.rpartition(":")[0] or name,
            int(rule.source.rpartition(":")[2] or 1),
            1,
            "E407",
            f"{rule.id} files {rule.file.service}, which the city profile {name!r} does not map",
            f'services there: {", ".join(profile.services)}; or rules.disable = ["{rule.id}"]',
        )
        for rule in bundle.rules.values()
        if rule.file is not None and rule.file.service not in profile.services
    ]


def _unreachable(config: Config) -> Iterator[Finding]:
    """Addresses and certificates that cannot be right, whatever the network says."""
    try:
        check_endpoint(config.city.endpoint)
    except EndpointError as error:
        help_ = 'endpoint = "https://311.example.org/open311/v2"; http only on this machine'
        yield config.finding(["city", "endpoint"], "E411", str(error), help_)
    try:
        tls_context(config.broker.ca_file)
    except OSError as error:
        help_ = "a PEM file with the certificate of the broker's authority"
        message = f"ca_file cannot be used: {error.strerror or error}"
        yield config.finding(["broker", "ca_file"], "E412", message, help_)


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
