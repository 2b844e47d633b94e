"""Staging: a scenario file becomes a plan that can be played, or findings that say why not.

All that can be wrong with a scenario beyond its keys and values comes together here: assets and
rules that are not there, events outside the run, faults that do not fit. Every finding has its
line and column. Plays nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulators.casting import CastingError, Misfit
from simulators.city import City
from simulators.draw import lasting
from simulators.plan import Plan, plan_of
from simulators.scenario_file import Finding, ScenarioError, ScenarioFile, near, read_scenario
from simulators.survey import SurveyError, read_survey


def stage(name: str | Path, changes: Mapping[str, Any] | None = None) -> Plan:
    """Of a file, or of a ready scenario by its name. Raises ScenarioError, OSError."""
    file = read_scenario(name)
    return plan_from(file.changed(changes) if changes else file)


def plan_from(file: ScenarioFile) -> Plan:
    """Raises ScenarioError, OSError."""
    city = city_of(file)
    findings = [*_missing_rules(file), *_events(file, city)]
    try:
        plan = plan_of(city)
    except CastingError as error:
        findings += [_misfit(file, one) for one in error.misfits]
    if findings:
        raise ScenarioError(sorted(findings, key=lambda finding: (finding.line, finding.column)))
    return plan


def _misfit(file: ScenarioFile, misfit: Misfit) -> Finding:
    message = misfit.message
    if misfit.other is not None:
        message += f" (line {file.marked.place(('faults', misfit.other))[0]})"
    return file.finding(misfit.where, message, misfit.hint, is_key=misfit.is_key)


def city_of(file: ScenarioFile) -> City:
    """Drawn, or from its asset file. Raises ScenarioError, OSError."""
    name = file.scenario.assets
    if name is None:
        return City(file.scenario)
    fleets = file.scenario.fleets
    for fleet in ("lamps", "bins", "road_sensors"):
        if getattr(fleets, fleet).count:
            where = ("fleets", fleet, "count")
            hint = "leave `count` out, or leave `assets` out"
            raise ScenarioError([file.finding(where, "the asset file says how many", hint)])
    path = file.path(name)
    try:
        return City(file.scenario, read_survey(path, file.scenario))
    except SurveyError as error:
        raise ScenarioError([file.finding(("assets",), str(error), error.hint)]) from None
    except OSError as error:
        said = f"{path}: {error.strerror}"
        raise ScenarioError([file.finding(("assets",), said, _neighbours(path))]) from None


def _missing_rules(file: ScenarioFile) -> Iterator[Finding]:
    for number, path in enumerate(file.rule_files):
        if not path.exists():
            said = f"no rule file {file.scenario.rules[number]!r}"
            yield file.finding(("rules", number), said, _neighbours(path))


def _neighbours(path: Path) -> str:
    """What lies where it was looked for."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}; paths begin at the scenario's own folder"
    names = sorted(one.name for one in folder.iterdir() if one.suffix == path.suffix)
    return near(path.name, names) or "paths begin at the scenario's own folder"


def _events(file: ScenarioFile, city: City) -> Iterator[Finding]:
    zones = sorted({post.zone for _, post in city.posts()})
    for number, event in enumerate(file.scenario.events):
        if event.at >= file.scenario.duration:
            lasts = lasting(round(file.scenario.duration * 1000))
            said = f"it would begin after the run, which lasts {lasts}"
            yield file.finding(("events", number, "at"), said, "begin earlier")
        if event.zone is not None and event.zone not in zones:
            said = f"there is no zone {event.zone!r} in this city"
            yield file.finding(("events", number, "zone"), said, near(event.zone, zones))
