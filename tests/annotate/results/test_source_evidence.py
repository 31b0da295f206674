# SPDX-License-Identifier: Apache-2.0
"""What becomes of the evidence for sigma_max."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import torch

from lerobot_ambient.annotate.heldout.verdict import HELPS, HURTS, NOT_KNOWN
from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.cli.annotating.render import source_windows
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window
from tests.annotate.heldout.tables import MAZE, SIGMAS, evidence_of

LEVELS = NoiseSchedule.from_alphas_cumprod(1.0 - torch.linspace(0.02, 0.99, 50) ** 2)


def annotation():
    level = np.full(3, 0.6)
    return SourceEvidence(Finding("me/sim", "classifier", "dataset", level, np.zeros(3), (0.5, 0.7), ("First.",)))


def evidence(shown, sigma_max, notes=()):
    # Only what is said of it matters here.
    return LocalityEvidence(
        target="me/target",
        source="me/sim",
        field=None,
        ratio=np.ones(1),
        parted=np.zeros(1, dtype=bool),
        alike=np.ones(1, dtype=bool),
        sigma_max=sigma_max,
        shown=shown,
        weak=shown < sigma_max,
        notes=notes,
    )


def test_weak_evidence_is_said_once():
    found = annotation().with_locality(evidence(0.2, 0.4, ("Weak evidence: shown up to 0.200.",))).finding
    assert found.notes == ("First.", "Locality: Weak evidence: shown up to 0.200.")
    np.testing.assert_array_equal(found.sigma_max, 0.2)


def test_the_lower_of_two_kinds_of_evidence_counts_and_says_why():
    undecided = annotation().with_locality(evidence(0.3, 0.3), evidence(0.1, 0.5)).finding
    np.testing.assert_array_equal(undecided.sigma_max, 0.1)
    assert "only up to 0.100" in undecided.notes[-1] and "in too little data up to 0.500" in undecided.notes[-1]
    parted = annotation().with_locality(evidence(0.3, 0.3), evidence(0.1, 0.1)).finding
    assert parted.notes[-1].endswith("from there on they differ.")
    higher = annotation().with_locality(evidence(0.3, 0.3), evidence(0.4, 0.4)).finding
    np.testing.assert_array_equal(higher.sigma_max, 0.3)
    assert higher.notes == ("First.",)


def held_out(word, window):
    """Evidence of a source of three samples with this verdict, as a policy of `LEVELS` takes it."""
    made = evidence_of(MAZE, np.where(SIGMAS[:, None] < 0.2, 1.0, MAZE), scatter=0.02)
    verdict = dataclasses.replace(made.verdict, word=word, window=window)
    return dataclasses.replace(made, safe=window, estimate=window, verdict=verdict)


def test_what_is_not_shown_to_help_is_written_only_when_asked_for():
    found = SourceEvidence.of_held_out(held_out(NOT_KNOWN, Window(0.7, 0.3)), 3, LEVELS)
    safe, asked = found.taking("safe").finding, found.taking("estimate").finding
    assert safe.is_nothing and safe.is_unshown and not safe.is_recommended
    assert (
        "what --take=estimate would write is not shown to help: sigma_min 0.700, sigma_max 0.300" in safe.headline()[0]
    )
    ((nothing,), (written,)) = (source_windows([found.taking(end)], ["me/sim"], [None]) for end in ("safe", "estimate"))
    assert nothing.options == {}
    assert any("--take=estimate writes the window" in reason for reason in nothing.why)
    assert written.options == {"sigma_min": 0.7, "sigma_max": 0.3}
    assert asked.is_recommended and not asked.is_unshown
    # Both ends keep the other.
    again = found.taking("safe").taking("estimate").finding
    np.testing.assert_array_equal(again.sigma_max, 0.3)
    np.testing.assert_array_equal(again.sigma_min, 0.7)


def test_what_is_shown_to_help_is_written_at_either_end():
    found = SourceEvidence.of_held_out(held_out(HELPS, Window(0.7, 0.3)), 3, LEVELS)
    for end in ("safe", "estimate"):
        finding = found.taking(end).finding
        assert finding.as_written == (0.7, 0.3)
        assert not finding.is_unshown


def test_more_steps_are_named_where_no_help_is_shown():
    helping, hurting, unknown = (
        SourceEvidence.of_held_out(held_out(word, Window(0.7, 0.3)), 3, LEVELS).finding.notes
        for word in (HELPS, HURTS, NOT_KNOWN)
    )
    assert hurting == unknown == (*helping, hurting[-1])
    assert "with more --steps" in hurting[-1]


def scored(*words_and_windows):
    """The finding on six samples whose parts by score, of which they are members in turn, have these verdicts."""
    rows = np.arange(6)
    source = SimpleNamespace(name="me/sim", rows=torch.from_numpy(rows))
    count = len(words_and_windows)
    parts = [
        dataclasses.replace(held_out(word, window), rows=rows[place::count], source=f"part {place}")
        for place, (word, window) in enumerate(words_and_windows)
    ]
    return SourceEvidence.of_scored_parts(source, parts, LEVELS).finding


def test_a_part_by_score_that_is_not_known_is_left_out():
    found = scored((HELPS, Window(0.7, 0.3)), (NOT_KNOWN, Window(0.7, 0.3)))
    finding = found.taking("safe")
    assert finding.sigma_min.tolist() == [0.7, 1.0] * 3
    assert finding.sigma_max.tolist() == [0.3, 0.0] * 3
    first, of_helping, of_unknown = finding.headline()
    assert first == "me/sim: 2 parts by score; by part sigma_min 0.700, sigma_max 0.300 or none"
    assert of_helping.endswith("; sigma < 0.30 and sigma > 0.70")
    assert of_unknown.endswith("; sigma < 0.30 and sigma > 0.70, with --take=estimate only")


def test_windows_of_parts_that_are_not_shown_are_named_whichever_sample_is_first():
    finding = scored((NOT_KNOWN, Window(1.0)), (NOT_KNOWN, Window(0.7)), (NOT_KNOWN, Window(0.4))).taking("safe")
    assert finding.is_unshown
    assert finding.unshown_in_words() == "by part sigma_min 0.400 or sigma_min 0.700 or none"


def test_a_window_at_the_low_end_alone_comes_with_what_rollouts_said_of_such():
    low, both = (
        SourceEvidence.of_held_out(held_out(HELPS, window), 3, LEVELS).finding.notes
        for window in (Window(1.0, 0.3), Window(0.7, 0.3))
    )
    assert "suits a source that decides wrongly and moves well" in low[-1]
    assert both == low[:1]
    hasty = dataclasses.replace(held_out(HELPS, Window(0.7)), steps=299)
    assert "no evidence for it" in SourceEvidence.of_held_out(hasty, 3, LEVELS).finding.notes[1]
