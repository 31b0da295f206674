# SPDX-License-Identifier: Apache-2.0
"""What becomes of the evidence for sigma_max."""

import numpy as np

from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence


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
