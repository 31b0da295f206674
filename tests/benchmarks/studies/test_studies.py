# SPDX-License-Identifier: Apache-2.0
"""What each experiment promises, and the metrics that are its own."""

import numpy as np
import pytest

from lerobot_ambient.benchmarks.engine.claims import points_above, ratio_at_most
from lerobot_ambient.benchmarks.engine.crossed import Trainings
from lerobot_ambient.benchmarks.engine.study import Sizes, options_for
from lerobot_ambient.benchmarks.studies import maze, pays, pushing, pusht, scaling, sorting, vision
from lerobot_ambient.benchmarks.tasks.sorting.task import episode_return
from lerobot_ambient.integration.commands.results import Rollouts, acceleration_measure


def ended(correct: int, wrong: int, episodes: int = 100) -> Rollouts:
    """Episodes of three blocks that all end alike."""
    value = episode_return(correct, wrong)
    return Rollouts(np.full(episodes, correct == 3), np.full(episodes, value))


def sorted_blocks(correct: int, wrong: int) -> Trainings:
    return Trainings({seed: ended(correct, wrong) for seed in range(1, 6)})


def successes(percent: int) -> Trainings:
    """Five trainings that agree on two thousand layouts, so that a point of difference is shown."""
    return Trainings({seed: Rollouts(np.arange(2000) % 100 < percent, np.zeros(2000)) for seed in range(1, 6)})


def test_blocks_are_read_from_returns():
    one = Rollouts.pool([ended(3, 0), ended(1, 1), ended(0, 0)])
    assert sorting.SCORE.of(one) == pytest.approx(4 / 9)
    assert sorting.COMPLETION.of(one) == pytest.approx(5 / 9)
    # Episodes without a sorted block say nothing about the logic.
    assert sorting.LOGIC.of(one) == pytest.approx(4 / 5)
    assert sorting.LOGIC.of(ended(0, 0)) is None


def test_sorting_is_judged_by_score_and_logic():
    conditions = {"omni": sorted_blocks(3, 0), "target_only": sorted_blocks(2, 0), "cotrain": sorted_blocks(2, 1)}
    assert [claim.held for claim in sorting.claims(conditions)] == [True, True, True]
    assert "+33.3 points" in sorting.claims(conditions)[0].measured
    worse = {**conditions, "omni": sorted_blocks(2, 1)}
    assert [claim.verdict for claim in sorting.claims(worse)] == ["refuted", "not shown", "refuted"]
    assert sorting.claims({"soft": conditions["omni"]}) == []


def test_pushing_is_judged_against_the_best_cotraining_and_by_windows_of_single_chunks():
    conditions = {"ambient": successes(82), "cotrain": successes(77), "ambient:classifier-datapoint": successes(70)}
    assert [claim.verdict for claim in pushing.claims(conditions)] == ["shown", "refuted"]
    conditions |= {"cotrain": successes(82), "ambient:classifier-datapoint": successes(87)}
    assert [claim.verdict for claim in pushing.claims(conditions)] == ["not shown", "shown"]


def test_an_unswept_window_is_judged_against_the_target_alone_and_the_best_cotraining():
    conditions = {
        "target_only": successes(50),
        "cotrain:trembling": successes(60),
        "ambient:trembling-heldout": successes(70),
        "cotrain:delayed": successes(40),
        "ambient:delayed-heldout": successes(49),
        "ambient:delayed-classifier-dataset": successes(90),
    }
    claims = pusht.STUDY.claims
    found = {claim.promise: claim.verdict for claim in claims(conditions)}
    assert found == {
        "ambient:trembling-heldout is not below the target alone and the best co-training": "shown",
        "ambient:trembling-heldout is above both": "shown",
        "ambient:delayed-heldout is not below the target alone and the best co-training": "shown",
        "ambient:delayed-heldout is above both": "refuted",
    }
    # A tie shows nothing, nor does doubt.
    even = {**conditions, "ambient:trembling-heldout": successes(60)}
    assert [claim.verdict for claim in claims(even)][:2] == ["shown", "not shown"]
    assert claims({key: one for key, one in conditions.items() if key != "target_only"}) == []


def test_pusht_shares_its_target_and_sweeps_every_fault_alike():
    study = pusht.STUDY
    words = study.data(study.full)
    assert {tuple(word for word in some if "fault" not in word) for some in words.values()} == {
        ("--reach=0.15", "--target-episodes=50", "--source-episodes=300")
    }
    assert len(study.sweeps) == 2 * len(pusht.SOURCES.names) and len({len(sweep.values) for sweep in study.sweeps}) == 1
    for sweep in study.sweeps:
        assert sweep.condition(sweep.values[0]).needs == (sweep.name,)


def test_scaling_is_judged_by_a_constant_share_at_the_largest_size():
    conditions = {
        "ambient:by-size-x8": successes(99),
        "soft:x1": successes(90),
        "soft:x8": successes(75),
        "ambient:share-x1": successes(74),
        "ambient:share-x8": successes(74),
    }
    (claim,) = scaling.claims(conditions)
    assert claim.promise.startswith(
        "the success of ambient:share-x8 is at most 2 points below that of ambient:share-x1"
    )
    assert claim.held
    assert scaling.claims({}) == []


def test_scaling_has_every_kind_at_every_size():
    sizes = Sizes(source_episodes=4000)
    assert scaling.source_sizes(sizes) == [500, 1000, 2000, 4000]
    names = [condition.name for condition in scaling.conditions({}, sizes)]
    expected = [scaling.condition_of(kind, share) for kind in scaling.KINDS for share in scaling.SHARES]
    assert names == ["target_only", *expected]
    words = scaling.data(sizes)
    assert words["x8"] == ["--target-episodes=50", "--source-episodes=4000"]
    assert all(condition.data in words for condition in scaling.conditions({}, sizes))


def test_vision_is_judged_against_a_policy_that_cannot_see_the_goal():
    conditions = {"ambient": successes(60), "ambient:blind": successes(30), "target_only": successes(61)}
    assert [claim.held for claim in vision.claims(conditions)] == [True, False]
    assert [claim.held for claim in vision.claims({**conditions, "ambient:blind": successes(36)})] == [False, False]


def test_the_blind_condition_differs_in_what_it_sees_alone():
    sizes = Sizes(source_episodes=500)
    conditions = {condition.name: condition for condition in vision.conditions({}, sizes)}
    seeing, blind = conditions["ambient"], conditions["ambient:blind"]
    assert (seeing.mixing, seeing.source) == (blind.mixing, blind.source)
    assert (dict(seeing.env), dict(blind.env)) == ({}, {"hide_goal": True})
    words = vision.data(sizes)
    assert words[blind.data] == [*words[seeing.data], "--hide-goal"]


def test_a_claim_says_both_values_and_its_interval():
    conditions = {"ambient": successes(95), "cotrain": successes(70)}
    (claim,) = points_above(conditions, "ambient", "cotrain", 20.0)
    assert claim.measured.startswith("95.0 % against 70.0 %: +25.0 points [+2")
    (claim,) = points_above(conditions, "cotrain", "ambient", -30.0)
    assert claim.promise == "the success of cotrain is at most 30 points below that of ambient"
    assert claim.held
    smooth = acceleration_measure("m²/s⁴")
    (claim,) = ratio_at_most({**conditions, "ambient": successes(0)}, "ambient", "cotrain", 0.5, smooth)
    assert (claim.verdict, claim.measured) == ("not shown", "no rollout contributes to it")
    assert ratio_at_most(conditions, "ambient", "soft", 0.5, smooth) == []


def test_smoothness_is_claimed_against_the_cotraining_that_succeeds_as_often():
    front = {f"cotrain:{alpha:g}": successes(90) for alpha in maze.ALPHAS.values}
    conditions = {"ambient": successes(90), **front, "cotrain:0.98": successes(40)}
    promises = [claim.promise for claim in maze.claims(conditions)]
    assert sum("any alpha" in promise for promise in promises) == 2
    measured = maze.claims(conditions)[-1].measured
    assert "0.98" not in measured
    assert not any(
        "any alpha" in claim.promise for claim in maze.claims({"ambient": successes(90), "cotrain:0.5": successes(90)})
    )


def test_data_that_no_pair_could_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--data-root .*: pusht makes pairs of datasets for delayed, trembling"):
        options_for(pusht.STUDY, tmp_path, data_root=tmp_path)
    assert options_for(maze.STUDY, tmp_path, data_root=tmp_path).data_root == tmp_path


@pytest.mark.parametrize("name", list(pays.STUDIES))
def test_when_a_source_pays_is_asked_at_every_number(name):
    study = pays.STUDIES[name]
    assert pays.target_sizes(study.full) == [10, 25, 50, 100, 200]
    assert study.order == tuple(scaling.condition_of(kind, share) for kind in pays.KINDS for share in pays.SHARES)
    conditions = dict.fromkeys(study.order, successes(50))
    conditions |= {"ambient:x2": successes(60), "cotrain:x40": successes(40), "target_only:x40": successes(53)}
    assert [claim.verdict for claim in study.claims(conditions)] == ["shown", "shown", "shown"]
    conditions |= {"target_only:x40": successes(58), "cotrain:x40": successes(50)}
    assert [claim.verdict for claim in study.claims(conditions)] == ["shown", "refuted", "not shown"]
