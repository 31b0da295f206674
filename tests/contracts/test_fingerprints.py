# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint remembers of its mixture: a run that was started yesterday must be resumed tomorrow."""

from __future__ import annotations

from functools import partial

import pytest

from .mixtures import MIXTURES
from .surfaces import merged


@pytest.fixture(scope="module")
def fingerprints(opened):
    return {name: opened(name)[0].policy.mixture_fingerprint for name in MIXTURES}


def test_mixtures_keep_their_fingerprints(fingerprints, contract):
    contract("fingerprints.json", fingerprints)


def test_mixtures_that_differ_differ_in_their_fingerprints(fingerprints):
    # Trust everywhere is the window that a source without one has; their mixings differ.
    distinct = {tuple(lines) for lines in fingerprints.values()}
    assert len(distinct) == len(fingerprints)


@pytest.mark.parametrize("name", ["aligned", "cameras", "soft"])
def test_no_class_name_or_repr_gets_into_a_fingerprint(name, fingerprints, root_of, tmp_path, monkeypatch, request):
    cfg = MIXTURES[name](root_of, tmp_path)
    declared = [cfg.policy.mixing, *cfg.policy.sources]
    declared += [one for source in cfg.policy.sources for one in source.cameras.values()]
    declared += [one for source in cfg.policy.sources for key in source.dimensions.values() for one in key.values()]
    for cls in {type(one) for one in declared}:
        monkeypatch.setattr(cls, "__repr__", lambda _: pytest.fail("a repr was read"))
        for attribute in ("__name__", "__qualname__"):
            request.addfinalizer(partial(setattr, cls, attribute, getattr(cls, attribute)))
            setattr(cls, attribute, "Renamed")
    merged(cfg)
    assert cfg.policy.mixture_fingerprint == fingerprints[name]
