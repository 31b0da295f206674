# SPDX-License-Identifier: Apache-2.0
"""Windows read from evidence, and what is said of the classifiers that gave it."""

import numpy as np
import pytest

from lerobot_ambient.annotate.buckets.partition import by_episode
from lerobot_ambient.annotate.buckets.windows import bucket_windows
from lerobot_ambient.annotate.classifier.calibration import calibrate, chunk_scores
from lerobot_ambient.annotate.classifier.curves import data_set_curve
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, Scores
from lerobot_ambient.annotate.results.windows_from_curves import (
    Threshold,
    bucket_finding,
    data_point_finding,
    data_set_finding,
)

SIGMAS = np.array([0.05, 0.3, 0.6, 0.9])
DISTANCES = np.array([1.5, 1.0, 0.5, 0.1])


def evidence(gain=1.0, *, distances=DISTANCES, episodes=40, chunks=30, alike=0.0):
    """Evidence of the exact logits of two unit normals that are `distances` apart, times a gain.

    Of the source's episodes a part, `alike`, is drawn from the target's normal.
    """
    rng = np.random.default_rng(0)

    def held_out(*signs):
        n = episodes * chunks
        sign = np.repeat(signs, chunks)[:, None, None]
        x = rng.standard_normal((n, len(SIGMAS), 4)) + sign * distances[:, None] / 2
        odds = np.exp(gain * distances[:, None] * x)
        logits = np.log(odds / (alike * odds + 1.0 - alike)).astype(np.float32)
        return HeldOutLogits(np.arange(n), np.arange(n) // chunks, np.arange(n) // chunks % 2, logits)

    same = round(alike * episodes)
    parts = held_out(*[+1] * episodes), held_out(*[+1] * same, *[-1] * (episodes - same))
    scores = Scores("me/target", "me/sim", SIGMAS, *parts, cross_fitted=True)
    calibration = calibrate(scores)
    return ClassifierEvidence(
        scores,
        calibration,
        data_set_curve(scores, calibration),
        None,
        every_source=chunk_scores(scores.source, calibration),
        every_target=chunk_scores(scores.target, calibration),
    )


def said(found):
    return " ".join(data_set_finding(found, 1200, Threshold()).notes)


def test_right_classifiers_are_not_spoken_of():
    assert said(evidence()) == ""


def test_classifiers_that_were_trained_too_briefly_are_called_underconfident():
    assert "underconfident where there is least noise (calibration slope 1.6" in said(evidence(gain=0.6))
    assert "Give more --steps" in said(evidence(gain=0.6))


def test_laws_that_hardly_overlap_say_nothing_of_confidence():
    assert "underconfident" not in said(evidence(gain=0.6, distances=np.array([9.0, 1.0, 0.5, 0.1])))


def test_classifiers_that_memorise_are_called_over_confident():
    assert "over-confident on episodes they did not see (calibration slope 0.3" in said(evidence(gain=3.0))


def test_a_source_of_two_kinds_of_episodes_is_told_of():
    far = np.array([6.0, 4.0, 3.0, 1.0])
    line = "Of two kinds: 28 of 40 episodes look like the target's at every level, 12 differ even above 0.5."
    assert line in said(evidence(distances=far, alike=0.7))
    assert "--granularity=bucket --bucket=episode" in said(evidence(distances=far, alike=0.7))
    # All alike, none alike, a handful apart, or too few to say.
    for alike in (0.0, 0.95, 1.0):
        assert "two kinds" not in said(evidence(distances=far, alike=alike))
    assert "two kinds" not in said(evidence(distances=far, alike=0.7, episodes=10))
    assert "two kinds" not in said(evidence(distances=far, alike=0.7, chunks=4))


def test_the_safe_end_lies_above_every_estimate():
    found, threshold = evidence(), Threshold()
    windows = bucket_windows(found.every_source, SIGMAS, by_episode(found.every_source.episode))
    whole = data_set_finding(found, 1200, threshold)
    for finding in (whole, data_point_finding(found, threshold), bucket_finding(found, threshold, windows)):
        safe = finding.taking("safe")
        assert (safe.takes, finding.takes) == ("safe", "estimate")
        assert (safe.sigma_min >= finding.sigma_min).all()
        assert safe.sigma_min.mean() > finding.sigma_min.mean()
        assert safe.estimate == finding.estimate == np.median(finding.sigma_min)
        assert np.array_equal(safe.taking("estimate").sigma_min, finding.sigma_min)
    assert whole.taking("safe").sigma_min[0] == whole.interval[1]


def test_with_two_episodes_a_side_no_level_is_safe_where_the_estimate_trusts_everything():
    finding = data_set_finding(evidence(episodes=2, distances=DISTANCES / 3), 60, Threshold())
    assert finding.is_full_trust
    safe = finding.taking("safe")
    assert safe.sigma_min[0] > 0.5
    assert not safe.is_full_trust
    assert not safe.to_dict()["full_trust"]


def test_every_granularity_reads_its_own_curves_with_one_threshold():
    found = evidence()
    threshold = Threshold(tau=0.1)
    whole = data_set_finding(found, 1200, threshold)
    assert np.unique(whole.sigma_min) == pytest.approx(threshold(SIGMAS, found.curve.p[None]))
    assert whole.interval[0] <= whole.sigma_min[0] <= whole.interval[1]
    points = data_point_finding(found, threshold)
    assert np.array_equal(points.sigma_min, threshold(SIGMAS, found.every_source.mean))
    assert "averages 4 noise draws" in points.notes[-1]
    windows = bucket_windows(found.every_source, SIGMAS, by_episode(found.every_source.episode), tau=0.1)
    buckets = bucket_finding(found, threshold, windows)
    assert len(np.unique(buckets.sigma_min)) > 1
    for index in (0, 599, 1199):
        curve = buckets.curves[buckets.curve_of[index]]
        assert buckets.sigma_min[index] == pytest.approx(threshold(SIGMAS, curve[None])[0])
    # Averages of many vary less.
    assert whole.sigma_min.std() < buckets.sigma_min.std() < points.sigma_min.std()


def test_a_rule_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no crossing rule 'best'; choose from isotonic, first, last"):
        Threshold(crossing="best")
