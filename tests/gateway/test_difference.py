"""The difference of two backtests: what one files and the other does not."""

from history_scenes import FULL, bundle_of, run, series
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workbench.difference import difference

MINUTE_MS = 60_000


def sides(messages, old, new):
    return (old, run(messages, old)), (new, run(messages, new))


def test_the_same_rules_do_not_differ():
    """However they are named inside."""
    messages = series([50, 90, 90, 90, 50, 50, 50])
    renamed = bundle_of(FULL.replace("full_bin", "too_full"))
    found = difference(*sides(messages, bundle_of(), renamed))

    assert found.is_none
    assert found.same == 1


def test_what_only_one_side_files_is_told_with_what_the_other_made_of_it():
    """In both directions."""
    messages = series([50, 85, 85, 85, 50, 50])
    strict = bundle_of(**{"full_bin.high": "90%"})
    gone = difference(*sides(messages, bundle_of(), strict))
    come = difference(*sides(messages, strict, bundle_of()))

    assert [(x.filing.subject, x.instead) for x in gone.removed] == [
        ("BIN-0", "the condition was never true while it lasted")
    ]
    assert [x.filing.subject for x in come.added] == ["BIN-0"]
    assert gone.added == come.removed == []


def test_a_filing_that_moved_is_the_same_filing():
    """And by how much is told."""
    messages = series([50, 90, 90, 90, 90, 90, 90, 50, 50, 50])
    slow = bundle_of(FULL.replace("for: 20min", "for: 50min"))
    (change,) = difference(*sides(messages, bundle_of(), slow)).changed

    assert (change.started_ms, change.filed_ms, change.cleared_ms) == (0, 30 * MINUTE_MS, 0)


def test_two_episodes_of_one_bin_are_two_filings():
    """Each is matched with the one that it overlaps."""
    messages = series([90, 90, 90, 50, 50, 50, 90, 90, 90])
    lower = bundle_of(**{"full_bin.high": "70%"})
    found = difference(*sides(messages, bundle_of(), lower))

    assert (found.same, found.added, found.removed) == (2, [], [])


def test_a_service_that_nobody_files_any_more_says_so():
    """A rule was taken out, or files something else."""
    messages = series([50, 90, 90, 90])
    other = bundle_of(FULL.replace("BIN_FULL", "BIN_OTHER"))
    found = difference(*sides(messages, bundle_of(), other))

    assert [x.instead for x in found.removed] == ["no rule files BIN_FULL"]
    assert [x.filing.service for x in found.added] == ["BIN_OTHER"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([None, 40.0, 72.0, 85.0, 95.0]), max_size=40),
    st.sampled_from(["60%", "80%", "90%"]),
)
def test_every_filing_is_accounted_for(fills, high):
    """Same, moved, or on one side: none twice, none lost; the other way round is its mirror."""
    messages = series(fills)
    old, new = sides(messages, bundle_of(), bundle_of(**{"full_bin.high": high}))
    there, back = difference(old, new), difference(new, old)

    common = there.same + len(there.changed)
    assert len(old[1].filings) == common + len(there.removed)
    assert len(new[1].filings) == common + len(there.added)
    assert [x.filing for x in there.added] == [x.filing for x in back.removed]
