"""The library's own tests: how much of a template could be changed without their noticing."""

import pytest

from gateway.workbench.mutants import trial_by_mutants
from gateway.workbench.trial import relatives, run
from rules.files import load, read_library, shipped_templates
from rules.starter import starter

GIVEN = {"deadman": {"probe": "fill"}}
"""Inputs without which a template leaves its tests out."""
LEAST = 0.9

pytestmark = pytest.mark.slow


def made_of(name):
    templates = shipped_templates()
    text = starter(templates[name], templates, GIVEN.get(name, {}))
    bundle, findings = load({"own.yaml": text})
    assert bundle is not None, [str(finding) for finding in findings]
    return bundle


def cases_of(bundle):
    return [case for rule in bundle.rules.values() for case in rule.cases]


@pytest.mark.parametrize("name", sorted(shipped_templates()))
def test_nine_mutants_in_ten_of_every_template_are_killed(name):
    """By the tests that come with it, whoever uses it; and these pass on the template itself."""
    bundle = made_of(name)
    cases = cases_of(bundle)
    failed = [case.name for case in cases if not run(case, relatives(case.rule, bundle)).passed]
    assert failed == []
    killed, survivors = trial_by_mutants(bundle, cases)
    assert killed
    told = [f"{one.rule}: {one.what}" for one in survivors]
    assert killed >= LEAST * (killed + len(survivors)), told


def test_nine_mutants_in_ten_of_the_shipped_rules_are_killed():
    """With the values with which they are shipped."""
    bundle, _ = load(read_library())
    killed, survivors = trial_by_mutants(bundle, cases_of(bundle))
    assert killed >= LEAST * (killed + len(survivors)), [one.what for one in survivors]
