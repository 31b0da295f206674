# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint remembers of its mixture: a run that was started yesterday must be resumed tomorrow."""

from __future__ import annotations

import pytest

from .mixtures import MIXTURES
from .surfaces import merged


@pytest.fixture(scope="module")
def fingerprints(root_of, tmp_path_factory):
    found = {}
    for name, make in MIXTURES.items():
        cfg = make(root_of, tmp_path_factory.mktemp(name))
        merged(cfg)
        found[name] = cfg.policy.mixture_fingerprint
    return found


def test_mixtures_keep_their_fingerprints(fingerprints, contract):
    contract("fingerprints.json", fingerprints)


def test_mixtures_that_differ_differ_in_their_fingerprints(fingerprints):
    # Trust everywhere is the window that a source without one has; their mixings differ.
    distinct = {tuple(lines) for lines in fingerprints.values()}
    assert len(distinct) == len(fingerprints)
