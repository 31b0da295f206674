# SPDX-License-Identifier: Apache-2.0
"""What a report says of a source in words and numbers, and what it warns of."""

import dataclasses

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.buckets.partition import Buckets
from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.calibration import calibrate
from lerobot_ambient.annotate.classifier.curves import data_set_curve
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, Scores
from lerobot_ambient.annotate.mixing.mode_mix import mode_mix
from lerobot_ambient.annotate.report.classifier_figures import reliability
from lerobot_ambient.annotate.report.source import SourceReport, verdict
from lerobot_ambient.annotate.report.source import warnings as warnings_at
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.spectra.spectrum import spectral_window
from lerobot_ambient.core.windows import Window

PER_EPISODE = 13
SOURCE = "me/shaky"
SIGMAS = np.linspace(0.005, 0.995, 100)


@dataclasses.dataclass(frozen=True)
class Timed:
    """What `SourceReport.of` reads of a source's chunks."""

    episode: np.ndarray
    frame: np.ndarray


def warnings(report, share):
    return warnings_at(report, share, SIGMAS)


def timed(episodes):
    return Timed(np.repeat(np.arange(episodes), PER_EPISODE), np.tile(np.arange(PER_EPISODE), episodes))


def bare(sigma_min=0.3, sigma_max=0.0, episodes=12, interval=(0.25, 0.34), **more):
    """A report without any evidence; windows may be one number or one per sample."""
    chunks = timed(episodes)
    low, high = (np.broadcast_to(bound, chunks.frame.shape).astype(float) for bound in (sigma_min, sigma_max))
    given = {"method": "spectral", "granularity": "dataset", **more}
    given["interval" if given["method"] == "classifier" else "bury_range"] = interval
    return SourceReport.of(SourceEvidence(Finding(source=SOURCE, sigma_min=low, sigma_max=high, **given)), chunks)


def safe(sigma_min, estimate):
    """A report whose window is the safe end of what is known."""
    report = bare(estimate, method="classifier")
    known = dataclasses.replace(report.finding, sigma_min_safe=np.full_like(report.finding.sigma_min, sigma_min))
    return dataclasses.replace(report, finding=known.taking("safe"))


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (bare(), "Use it at noise levels above 0.300: below, its actions can be told from the target's."),
        (bare(), "The burying levels of its spectra lie between 0.250 and 0.340; they are no interval of sigma_min."),
        (bare(interval=(0.2, 0.4), method="classifier"), "This is known roughly, between 0.200 and 0.400."),
        (
            bare(interval=(0.0, 0.9), method="classifier"),
            "This is hardly known, between 0.000 and 0.900: check it with a sweep.",
        ),
        (bare(sigma_max=0.1), "Below 0.100 it may teach local motion."),
        (bare(sigma_max=0.6), "show no difference; this does not show that the source is right."),
        (bare(sigma_min=0.0, interval=(0.0, 0.02)), "A sweep by rollouts decides its window."),
        (bare(sigma_min=0.0, tau=0.05), "At tau 0.05 up to 18% of its chunks may be of a kind"),
        (safe(0.3, 0.1), "above 0.300, the safe end of what is known. The estimate"),
        (safe(1.0, 0.1), "No noise level is known to be safe with so few data; the estimate is 0.100."),
        (bare(sigma_min=1.0, interval=(1.0, 1.0)), "leave it out, or check whether it is aligned rightly."),
        (bare(sigma_min=1.0, sigma_max=0.1), "It was told from the target at every noise level. Below 0.100"),
        (bare(sigma_min=np.linspace(0.1, 0.9, 156)), "half of them teach from 0.500 or less on, and 80 % of the"),
    ],
)
def test_the_verdict_is_in_plain_words(report, words):
    assert words in verdict(report)


def test_warnings_name_what_to_look_at():
    assert warnings(bare(), 0.4) == []
    assert "may lie anywhere from 0.100 to 0.900" in warnings(bare(interval=(0.1, 0.9), method="classifier"), 0.4)[0]
    assert "burying levels run from 0.100 to 0.900" in warnings(bare(interval=(0.1, 0.9)), 0.4)[0]
    assert "nothing is ever drawn" in warnings(bare(), 0.0)[0]
    # Windows that follow time in the episode, and modes that do too.
    late = np.repeat([0.1, 0.9], [6, 7])
    chunks = timed(12)
    modes = Buckets((chunks.frame > 5).astype(np.int64), 2, str)
    mix = mode_mix(SOURCE, "data point", modes, chunks.episode, np.tile(late, 12), np.linspace(0.02, 0.99, 20))
    biased = dataclasses.replace(bare(sigma_min=np.tile(late, 12), granularity="datapoint"), mode_mixes=(mix,))
    assert "favour some kinds of motion" in warnings(biased, 0.4)[0]
    other = dataclasses.replace(biased.finding, granularity="bucket")
    assert warnings(dataclasses.replace(biased, finding=other), 0.4) == []


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (safe(0.8, 0.1), None),
        (safe(0.801, 0.1), None),
        (safe(0.81, 0.6), "this window admits 19% of the noise levels"),
        (
            safe(0.9, 0.4),
            "10% of the noise levels that the policy draws, and 4.8% of a training's draws are its. There are too few "
            "episodes to",
        ),
        (safe(0.9, 0.4), "again with --take=estimate, 0.400, which admits 60% of the levels and may be too low"),
        (safe(0.9, 0.0), "Record more, or choose sigma_min by a sweep: the estimate is full trust"),
        (
            safe(0.95, 0.92),
            "The estimate, 0.920, says much the same: its chunks differ from the target's. Leave it out",
        ),
        (bare(0.95, interval=(0.95, 0.96)), "says much the same"),
        (bare(0.95, sigma_max=0.5, interval=(0.95, 0.96)), None),
        (safe(1.0, 0.1), None),
    ],
)
def test_a_window_that_leaves_next_to_nothing_names_the_ways_on(report, words):
    told = [line for line in warnings(report, 0.048) if "Next to nothing" in line]
    assert told == [] if words is None else words in told[0]


def test_a_classifier_that_misses_what_spectra_see_is_suspected():
    rng = np.random.default_rng(0)
    chunks = timed(12)
    slow, white = (
        ArrayChunks(name, torch.from_numpy(x_0.astype(np.float32)), chunks.episode)
        for name, x_0 in (
            ("slow", np.cumsum(rng.normal(size=(len(chunks.episode), 8, 2)), axis=1) / 8),
            ("white", rng.normal(size=(len(chunks.episode), 8, 2))),
        )
    )
    guesses = [
        HeldOutLogits(np.arange(156), chunks.episode, chunks.episode % 2, part)
        for part in rng.normal(size=(2, 156, 3, 4)).astype(np.float32)
    ]
    scores = Scores("slow", "white", np.array([0.05, 0.5, 0.9]), *guesses, cross_fitted=True)
    calibration = calibrate(scores)
    blind = dataclasses.replace(
        bare(sigma_min=0.01, interval=(0.0, 0.02), method="classifier"),
        classifier=ClassifierEvidence(scores, calibration, data_set_curve(scores, calibration), None),
        spectral=spectral_window(slow, white),
    )
    lowest, brief = warnings(blind, 0.4)
    assert "not above the lowest level looked at, 0.050" in lowest
    assert "it may have been trained too briefly" in brief
    seeing = dataclasses.replace(blind, finding=dataclasses.replace(blind.finding, interval=(0.0, 1.0)))
    assert not any("briefly" in warning for warning in warnings(seeing, 0.4))


def test_spectra_overrule_a_classifier_that_finds_nothing_within_a_wide_interval():
    rng = np.random.default_rng(1)
    chunks = timed(12)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(156, 16, 2)), axis=1), axis=1) / 32
    sources = [
        ArrayChunks(name, torch.from_numpy((smooth + s * rng.normal(size=smooth.shape)).astype(np.float32)), episode)
        for name, s, episode in (("smooth", 0.01, chunks.episode), ("shaky", 0.2, chunks.episode))
    ]
    spectral = spectral_window(*sources)
    assert spectral.bury_range[0] > 0.1
    few = dataclasses.replace(
        bare(), spectral=dataclasses.replace(spectral, source=dataclasses.replace(spectral.source, episodes=3))
    )
    assert "'shaky' has only 3 episodes" in warnings(few, 0.4)[0]
    missed = dataclasses.replace(bare(0.0, interval=(0.0, 0.9), method="classifier"), spectral=spectral)
    assert (
        f"The spectra part up to {spectral.sigma_min:.3f}, which the classifier missed: use it only above"
        in verdict(missed)
    )
    seen = dataclasses.replace(bare(0.4, interval=(0.2, 0.9), method="classifier"), spectral=spectral)
    assert "spectra" not in verdict(seen)
    itself = dataclasses.replace(bare(0.0, interval=(0.0, 0.9)), spectral=spectral)
    assert "spectra part" not in verdict(itself)


def test_reliability_of_labels_drawn_from_the_predictions_lies_on_the_diagonal():
    # Chunks of c are the target's with probability c, so the bins' intervals should hold it about 19 times in 20.
    rng = np.random.default_rng(0)
    c = rng.uniform(0.05, 0.95, size=(8000, 2)).mean(1, keepdims=True)
    is_target = rng.uniform(size=c.shape) < c
    parts = [c[is_target][:, None], c[~is_target][:, None]]
    held_out = [
        HeldOutLogits(np.arange(len(part)), np.arange(len(part)), np.zeros(len(part), int), part[..., None])
        for part in parts
    ]
    # Both datasets weigh the same, as the classifier has it; here they are nearly of one size.
    predicted, observed, low, high = reliability(*parts, *held_out, bins=10)
    assert np.abs(predicted - observed).max() < 0.05
    assert ((low <= predicted) & (predicted <= high)).sum() >= 9
    assert (np.diff(predicted) > 0).all()
    assert ((low >= 0) & (high <= 1)).all()


def test_admitted_counts_the_windows_that_hold_a_level():
    rng = np.random.default_rng(0)
    bounds = rng.choice([0.0, 0.2, 0.4, 0.6, 1.0], size=(2, 156))
    report, levels = bare(sigma_min=bounds[0], sigma_max=bounds[1]), np.linspace(0.0, 1.0, 11)
    windows = [Window(float(low), float(high)) for low, high in bounds.T]
    expected = np.mean([window.admits(torch.from_numpy(levels)).numpy() for window in windows], axis=0)
    assert np.allclose(report.admitted(levels), expected)


def test_samples_that_disagree_are_refused():
    report = bare()
    with pytest.raises(ValueError, match=r"'me/shaky': frame has shape \(3,\), but there are 156 windows"):
        dataclasses.replace(report, frame=np.arange(3))
    with pytest.raises(ValueError, match=r"position runs from 0 to 1\.5; give the time within the episode"):
        dataclasses.replace(report, position=1.5 * report.position)


def test_time_runs_from_the_start_of_an_episode_to_its_last_sample():
    chunks = Timed(np.array([3, 3, 3, 8]), np.array([0, 1, 4, 0]))
    finding = Finding(SOURCE, "spectral", "dataset", np.full(4, 0.3), np.zeros(4), (0.2, 0.4))
    assert SourceReport.of(SourceEvidence(finding), chunks).position.tolist() == [0.0, 0.25, 1.0, 0.0]
