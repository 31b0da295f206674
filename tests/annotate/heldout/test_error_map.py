# SPDX-License-Identifier: Apache-2.0
"""Windows read from maps: those of the first tables, each kind of harm, and nothing made of chance."""

import numpy as np
import pytest

from lerobot_ambient.annotate.heldout.error_map import ErrorMap, MapRule
from lerobot_ambient.annotate.heldout.verdict import HELPS, HURTS, NOT_KNOWN, Change, doubtful_part, judge
from lerobot_ambient.core.windows import Window
from tests.annotate.heldout.tables import MAZE, SIGMAS, errors_of

GRID = np.array([0.03, 0.12, 0.21, 0.30, 0.39, 0.48, 0.59, 0.70, 0.82, 0.93, 0.98, 1.0])
SORTING = np.array([0.77, 0.78, 0.82, 0.88, 0.88, 0.92, 0.94, 0.98, 0.99, 1.03, 1.06, 1.08])
"""Co-training of sorting with a wrist's view, by hand: the whole error, so all bands alike here."""


def read(ratios, *, rule=None, **options):
    errors = errors_of(ratios, **options)
    return ErrorMap(errors.ratio("cotrain"), rule or MapRule(), errors.bands.names)


def flat(values):
    return np.tile(np.asarray(values, dtype=float)[:, None], (1, 6))


@pytest.mark.parametrize("safe", [True, False])
def test_the_maze_gives_a_sigma_min(safe):
    window = read(MAZE, scatter=0.05).window(safe=safe)
    assert 0.16 <= window.sigma_min <= 0.35
    assert window.sigma_max == 0.0


@pytest.mark.parametrize("safe", [True, False])
def test_sorting_gives_a_sigma_max(safe):
    window = read(flat(SORTING), sigmas=GRID, scatter=0.02, episodes=35).window(safe=safe)
    assert 0.25 <= window.sigma_max <= (0.8 if safe else 0.95)
    assert window.sigma_min == 1.0
    assert not window.is_everything


def test_more_target_data_is_admitted_everywhere():
    assert read(flat([0.8] * 6)).window(safe=True).is_everything


def test_harm_everywhere_leaves_nothing():
    one = read(flat([1.3] * 6))
    assert one.raised.all()
    assert one.window(safe=True).is_nothing
    assert judge(one, one.window(safe=True), None).word == HURTS


def test_a_last_level_just_below_one_leaves_nothing_above_it():
    sigmas = np.array([*SIGMAS[:-1], 0.9999])
    one = read(flat([1.3] * 5 + [0.7]), sigmas=sigmas)
    assert one.window(safe=True).is_nothing
    assert judge(one, one.window(safe=True), None).word == HURTS
    assert sigmas[4] < one.window(safe=False).sigma_min < sigmas[5]


def test_harm_in_the_middle_leaves_both_ends():
    window = read(flat([0.5, 0.6, 1.5, 1.5, 0.7, 0.8])).window(safe=True)
    assert window == Window(sigma_min=SIGMAS[4], sigma_max=SIGMAS[1])


def test_the_tolerance_is_of_accelerations():
    table = np.full((6, 6), 0.9)
    table[:3, 5] = 3.0
    assert read(table).window(safe=False).sigma_min > SIGMAS[2]
    assert read(table).rough.tolist() == [True] * 3 + [False] * 3
    assert read(table, rule=MapRule(tolerance=2.5)).window(safe=False).is_everything


def test_the_safe_end_is_never_lower():
    for seed in range(20):
        one = read(MAZE, scatter=0.3, episodes=20, seed=seed)
        assert one.window(safe=True).sigma_min >= one.window(safe=False).sigma_min


def test_chance_raises_nothing():
    raised = [read(flat([1.0] * 6), scatter=0.2, episodes=20, seed=seed).raised.any() for seed in range(200)]
    assert np.mean(raised) <= 0.05


def test_a_source_without_effect_is_not_known_and_says_what_would_tell():
    one = read(flat([0.99] * 6), scatter=0.3, episodes=12, seed=1)
    verdict = judge(one, Window(0.0), one)
    assert verdict.word == NOT_KNOWN
    assert "target episodes would tell" in verdict.reasons[-1] or "no number of episodes" in verdict.reasons[-1]


def test_an_error_raised_on_the_whole_is_said_to_be():
    one = read(flat([1.04] * 6), scatter=0.1, episodes=20, seed=2)
    assert not one.raised.any() and Change.of(one).low > 0.0
    verdict = judge(one, Window(1.0), None)
    assert verdict.word == NOT_KNOWN
    assert verdict.reasons[-1].startswith("the whole error is raised, by +")
    assert "episodes would tell" not in verdict.reasons[-1]


def test_a_lower_error_without_a_window_says_what_is_open():
    table = np.full((6, 6), 0.6)
    table[:, 3:] = 1.4
    one = read(table, scatter=0.5, episodes=20)
    assert not one.rough.any()
    assert one.window(safe=True).is_nothing
    verdict = judge(one, one.window(safe=True), None)
    assert verdict.word == NOT_KNOWN
    (reason,) = verdict.reasons
    assert "no window is left in which accelerations are shown to err at most 1.5 times as much" in reason
    assert "may be nothing" not in reason


def test_helps_only_where_the_confirmation_does():
    better, worse = read(flat([0.7] * 6)), read(flat([1.4] * 6))
    assert judge(better, Window(0.0), better).word == HELPS
    assert judge(better, Window(0.3), worse).word == HURTS
    unsure = [judge(better, Window(0.3), read(flat([1.0] * 6), scatter=0.3, seed=seed)) for seed in range(20)]
    assert sum(one.word == NOT_KNOWN for one in unsure) >= 18
    # What may teach is named only where the estimate speaks for it.
    assert all(one.window.is_nothing == (one.confirmed.log >= 0.0) for one in unsure if one.word == NOT_KNOWN)


def test_the_number_of_episodes_that_is_named_is_about_enough():
    few = [Change.of(read(flat([0.9] * 6), scatter=0.3, episodes=8, seed=seed)) for seed in range(40)]
    undecided = [one for one in few if one.more_episodes]
    needed = int(np.median([one.episodes + one.more_episodes for one in undecided]))
    many = [Change.of(read(flat([0.9] * 6), scatter=0.3, episodes=2 * needed, seed=seed)) for seed in range(40)]
    told = [np.mean([one.high < 0.0 for one in some]) for some in (few, many)]
    assert told[0] < 0.7 < told[1]
    assert Change.of(read(flat([0.5] * 6))).more_episodes == 0


@pytest.mark.parametrize(("options", "said"), [({"tolerance": 0.0}, "tolerance = 0.0"), ({"confidence": 1.0}, "1.0")])
def test_rules_are_checked(options, said):
    with pytest.raises(ValueError, match=said):
        MapRule(**options)


def test_few_episodes_name_the_part_that_is_lower():
    """Sorting with 15 episodes: no level is shown to be raised, nor all of them together to be lowered."""
    draws = [read(flat(SORTING), sigmas=GRID, scatter=0.06, episodes=15, training=0.1, seed=seed) for seed in range(40)]
    found = [(one, part) for one in draws if (part := doubtful_part(one, safe=True)) is not None]
    assert len(found) >= 5
    better, worse = read(flat([0.7] * 12), sigmas=GRID), read(flat([1.2] * 12), sigmas=GRID)
    # Shown by itself, and not among the windows that might have been chosen.
    slightly = read(flat([0.93] * 12), sigmas=GRID, scatter=0.25, episodes=15, seed=2)
    assert Change.of(slightly).high < 0.0
    for one, safe in found:
        estimate = doubtful_part(one, safe=False)
        assert safe.sigma_min == 1.0
        assert 0.0 < safe.sigma_max < 0.95
        assert estimate is None or safe.sigma_max <= estimate.sigma_max
        shown, unsure = (judge(one, safe, confirmed, doubtful=True) for confirmed in (better, slightly))
        assert (shown.word, shown.window) == (HELPS, safe)
        assert "the interval allows for that choice" in shown.reasons[0]
        assert shown.confirmed.high > Change.of(better).high
        assert judge(one, safe, better, doubtful=True, shares=2).confirmed.high > shown.confirmed.high
        assert (unsure.word, unsure.window) == (NOT_KNOWN, safe)
        assert "allows for that choice, and episodes of their own would tell" in unsure.reasons[1]
        assert unsure.confirmed.high > 0.0
        assert judge(one, safe, worse, doubtful=True).window.is_nothing
    assert 0.2 <= np.median([safe.sigma_max for _, safe in found]) <= 0.8


def test_chance_names_no_part():
    """Without an effect, whatever the luck of trainings: a level is named only where all of them are in mind."""
    draws = [read(flat([1.0] * 12), sigmas=GRID, scatter=0.1, episodes=10, training=0.2, seed=k) for k in range(100)]
    assert sum(doubtful_part(one, safe=True) is not None for one in draws) <= 5


def test_nothing_is_taken_from_a_source_that_helps_everywhere():
    assert doubtful_part(read(flat([0.8] * 6)), safe=True) is None
    assert doubtful_part(read(MAZE, scatter=0.05), safe=True) is None


def test_a_part_up_to_pure_noise():
    table = flat([1.05, 1.02, 0.8, 0.8, 0.8, 0.8])
    part = read(table, scatter=0.1, episodes=20, training=0.1).lower_part(safe=False)
    assert part.sigma_max == 0.0
    assert SIGMAS[1] < part.sigma_min < SIGMAS[2]
