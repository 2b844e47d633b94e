"""What the rule engine costs: figures that `make bench` prints beside those of the gateway.

All in one process, the rules of the library and generated readings. The scalar cost of `lamp_out`
with its `for` and `clear` state, against the same condition written by hand; a year of a thousand
lamps on columns, against one numpy comparison over the same rows, with readings enough that neither
finds them in the processor's cache.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.workbench.trial import relatives, run
from rules.almanac import Almanac
from rules.checks import check
from rules.files import load, read_library
from rules.instance import QUIET
from rules.judging import judged
from rules.rule import Rule
from rules.scene import Scene
from rules.series import Series
from rules.sky import Skies, Sky
from rules.sweep import Sweep
from rules.track import Subject, Track, make_plan

LAT, LON = 41.88, -87.63
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
QUARTER_MS = 900_000
YEAR = 35_040
AT_ONCE = 100
"""Assets in memory at once: 84 MB of readings."""


def measure(lamps: int) -> dict[str, Any]:
    bundle, findings = load(read_library())
    assert bundle is not None, findings
    return {
        "scalar": scalar(bundle.rules["lamp_out"]),
        "bundle": bundles(),
        "columns": years(bundle.rules, lamps),
    }


# -- one sample after the other --------------------------------------------------------------------


def scalar(rule: Rule, count: int = 20_000, rounds: int = 7) -> dict[str, float]:
    """Microseconds a sample: the condition, by hand and generated, and the whole rule with state.
    Half of the samples are at night, one in a hundred of those dark.
    """
    lamp = Subject("L", "streetlight", {"nominal_power_w": 60}, LAT, LON)
    plan = make_plan("streetlight", bundle_of(rule))
    scene = Scene(lambda _: iter(()))
    scene.at(Track(lamp, plan, Skies().over(LAT, LON)), 0)
    watch, samples = plan.watches[0], samples_of(count)
    slots = len(rule.slots)

    def whole() -> None:
        state, memory = QUIET, [None] * slots
        for ts_ms, values in samples:
            scene.ts_ms = ts_ms
            state, _ = judged(watch, values, lamp.attributes, scene, memory, state)

    def condition(judged: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            memory = [None] * slots
            for ts_ms, values in samples:
                scene.ts_ms = ts_ms
                judged(values, lamp.attributes, scene, memory)

        return run

    works = [whole, condition(rule.when.judge), condition(by_hand), condition(nothing)]
    times = [[timed(work) / count * 1e6 for work in works] for _ in range(rounds)]
    state_us, generated_us, hand_us, loop_us = (
        statistics.median(t) for t in zip(*times, strict=True)
    )
    return {
        "with_state_us": round(state_us - loop_us, 3),
        "condition_us": round(generated_us - loop_us, 3),
        "by_hand_us": round(hand_us - loop_us, 3),
        "ratio": round((generated_us - loop_us) / (hand_us - loop_us), 2),
    }


def by_hand(values: Any, attributes: Any, scene: Scene, memory: list[Any]) -> bool | None:
    """The condition of `lamp_out`, as one would write it for this rule alone."""
    level = values.get("dim_level_pct")
    if level is None:
        level = memory[0]
        if level is None:
            level = 100.0
    else:
        memory[0] = level
    night = scene.is_night(1_200_000)
    if night is False or level <= 5.0:
        return False
    power, nominal = values.get("active_power_w"), attributes.get("nominal_power_w")
    if power is None or nominal is None:
        return None
    if power >= 0.2 * (nominal * level / 100.0):
        return False
    return None if night is None else True


def nothing(_values: Any, _attributes: Any, _scene: Scene, _memory: list[Any]) -> None:
    """The loop by itself."""


def samples_of(count: int) -> list[tuple[int, dict[str, Any]]]:
    """Ten days of a lamp, over and over in place, so that the sun is remembered as in service."""
    random = np.random.default_rng(1)
    ts_ms, power, level = readings(random, Almanac(Sky(41.9, -87.6)), 960)
    day = list(zip(ts_ms.tolist(), power.tolist(), level.tolist(), strict=True))
    return [
        (ts, {"active_power_w": watt, "dim_level_pct": pct})
        for ts, watt, pct in (day * (count // len(day) + 1))[:count]
    ]


# -- a year at once --------------------------------------------------------------------------------


def years(rules: Mapping[str, Rule], assets: int, runs: int = 5) -> dict[str, Any]:
    """For each rule and run: a year of all assets, against one comparison over the same rows. What
    a sweep remembers of the sun counts too, once for each run.
    """
    random, almanac = np.random.default_rng(1), Almanac(Sky(41.9, -87.6))
    almanac.compared("<", -4.0, np.array([START_MS, START_MS + YEAR * QUARTER_MS]))
    found = {name: [_Run(Sweep(rules[name])) for _ in range(runs)] for name in SWEPT}
    for i in range(runs):
        for _ in range(0, assets, AT_ONCE):
            for asset, readings_of, names in YEARS:
                series = [readings_of(random, almanac, n) for n in range(AT_ONCE)]
                for name in names:
                    found[name][i].add(asset, series)
    return {name: _told(some, assets * YEAR) for name, some in found.items()}


class _Run:
    """One rule over all assets, some of them at a time."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self.seconds = self.one_pass_s = 0.0
        self.changes = 0

    @property
    def ratio(self) -> float:
        return self.seconds / self.one_pass_s

    def add(self, asset: Subject, series: list[Series]) -> None:
        """Nothing that another rule found out about these series is used again."""
        key = min(self._sweep.rule.when.fields)
        fresh = [Series(one.ts_ms, one.columns) for one in series]
        self.one_pass_s += timed(lambda: _one_pass([one.columns[key] for one in fresh]))
        self.seconds += timed(lambda: self._tell(asset, fresh))

    def _tell(self, asset: Subject, series: list[Series]) -> None:
        for one in series:
            self.changes += len(self._sweep.story(asset, one, int(one.ts_ms[-1])))


def _one_pass(columns: list[NDArray[np.float64]]) -> None:
    out = np.empty(YEAR, dtype=np.bool_)
    for column in columns:
        np.less(column, 12.0, out=out)


def _told(runs: list[_Run], rows: int) -> dict[str, float]:
    seconds = statistics.median(run.seconds for run in runs)
    return {
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "seconds": round(seconds, 3),
        "one_pass_s": round(statistics.median(run.one_pass_s for run in runs), 4),
        "ratio_least": round(min(run.ratio for run in runs), 1),
        "ratio": round(statistics.median(run.ratio for run in runs), 1),
        "ratio_worst": round(max(run.ratio for run in runs), 1),
        "changes": sum(run.changes for run in runs),
    }


def year_of_a_lamp(random: np.random.Generator, almanac: Almanac, i: int) -> Series:
    """Every tenth lamp has been dark for some nights and every tenth has burnt for some days, every
    third sometimes forgets its level.
    """
    ts_ms, power, level = readings(random, almanac, YEAR)
    if i % 5 == 0:
        start = int(random.integers(0, YEAR))
        power[start : start + int(random.integers(1, 800))] = 0.0 if i % 10 else 58.0
    if i % 3 == 0:
        level[random.random(YEAR) < 0.01] = np.nan
    return Series(ts_ms, {"active_power_w": power, "dim_level_pct": level})


def year_of_a_bin(random: np.random.Generator, _almanac: Almanac, i: int) -> Series:
    """Emptied every week or two: one in four is full before that, every third sometimes forgets its
    fill.
    """
    ts_ms = START_MS + int(random.integers(0, QUARTER_MS)) + np.arange(YEAR) * QUARTER_MS
    days = np.arange(YEAR) / 96
    fill = np.minimum(days % random.integers(7, 15) * random.uniform(4.0, 9.0), 100.0)
    if i % 3 == 0:
        fill[random.random(YEAR) < 0.01] = np.nan
    warm = 12.0 - 10.0 * np.cos(days * 0.0172) + 5.0 * np.sin(days * 6.2832)
    return Series(ts_ms, {"fill_pct": fill, "temperature_c": warm + random.random(YEAR)})


def readings(
    random: np.random.Generator, almanac: Almanac, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Times, watts and dim levels of a lamp that burns from dusk to dawn."""
    ts_ms = START_MS + int(random.integers(0, QUARTER_MS)) + np.arange(count) * QUARTER_MS
    night = almanac.compared("<", -4.0, ts_ms)
    power = np.where(night, 57.0 + 2.0 * random.random(count), 0.4)
    return ts_ms, power, np.where(night, 100.0, 0.0)


LAMP = Subject("L", "streetlight", {"nominal_power_w": 60}, LAT, LON)
BIN = Subject("B", "bin", {"fill_threshold_pct": 85}, LAT, LON)
YEARS = (
    (LAMP, year_of_a_lamp, ("lamp_out", "day_burner")),
    (BIN, year_of_a_bin, ("bin_full", "bin_fire")),
)
SWEPT = tuple(name for *_, names in YEARS for name in names)

# -- the parts -------------------------------------------------------------------------------------


def bundle_of(rule: Rule) -> Any:
    from rules.rule import Bundle

    return Bundle({rule.id: rule}, "bench")


def timed(work: Callable[[], Any]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# -- two hundred rules -----------------------------------------------------------------------------

RULES = 200
A_RULE = """\
  - id: lamp_{i}
    title: "Street light {{asset.id}} is dark, {i}"
    when: is_night(margin=20min) and active_power < {i} W + 20% * nominal_power
    for: 15min
    cover: {{min_samples: 2, max_gap: 45min}}
    clear: {{when: active_power > {i} W + 50% * nominal_power, for: 10min}}
    no_data: {{hold: 2h}}
    identity: [asset.id]
    tests:
      - name: dark at night
        start: 2026-01-15T20:00-06:00
        asset: {{id: SL-1, nominal_power: 600W, lat: 41.88, lon: -87.63}}
        every: 5min
        feed: {{active_power: "590W x3, 0W x8, 590W x4"}}
        expect: [{{at: +25min, state: pending}}, {{at: end, state: ok}}]
      - {{name: lit, feed: {{active_power: "590W x12"}}, expect: [{{never: pending}}]}}
"""
TOP = "apiVersion: sense311/v1\nsensor: streetlight\nowner: bench\nrules:\n"


def bundles() -> dict[str, float]:
    """`rules check` and `rules test` of two hundred rules with two tests each, in process."""
    texts = [A_RULE.format(i=i) for i in range(RULES)]
    sources = {f"{i}.yaml": TOP + "".join(texts[i : i + 50]) for i in range(0, RULES, 50)}
    check_s = statistics.median(timed(lambda: check(sources)) for _ in range(3))
    bundle, findings = load(sources)
    assert bundle is not None, findings
    cases = [(case, relatives(r.id, bundle)) for r in bundle.rules.values() for case in r.cases]
    passed: list[bool] = []
    test_s = timed(lambda: passed.extend(run(case, family).passed for case, family in cases))
    assert all(passed)
    return {
        "rules": RULES,
        "check_s": round(check_s, 3),
        "tests": len(cases),
        "test_s": round(test_s, 3),
        "tests_per_s": round(len(cases) / test_s),
    }


def shown(result: dict[str, Any]) -> str:
    one, many = result["scalar"], result["bundle"]
    years_of = "".join(_line(name, year) for name, year in result["columns"].items())
    return (
        f"lamp_out, a sample with state   {one['with_state_us']:.2f} us   goal <= 1\n"
        f"  its condition, by hand        {one['condition_us']:.2f} us, {one['by_hand_us']:.2f} us:"
        f" {one['ratio']:.2f}x   goal <= 2.5x\n"
        f"a year on columns, against one comparison pass: goal <= 30x\n{years_of}"
        f"check of {many['rules']} rules              {many['check_s']:.2f} s\n"
        f"test of {many['rules']} rules               {many['tests']} in {many['test_s']:.2f} s,"
        f" {many['tests_per_s']} tests a second\n"
    )


def _line(name: str, year: Mapping[str, Any]) -> str:
    return (
        f"  {name:<12} {year['rows'] / 1e6:.1f} M rows in {year['seconds']:.2f} s,"
        f" {year['rows_per_s'] / 1e6:.0f} M rows/s, pass {year['one_pass_s'] * 1e3:.0f} ms:"
        f" {year['ratio']:.1f}x ({year['ratio_least']:.1f} to {year['ratio_worst']:.1f})\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lamps", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.lamps)
    sys.stdout.write(json.dumps(result) + "\n" if args.json else shown(result))


if __name__ == "__main__":
    main()
