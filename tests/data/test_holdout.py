# SPDX-License-Identifier: Apache-2.0
"""Episodes that a source keeps from training."""

import numpy as np
import pytest

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.export.aligned_episodes import MixtureEpisodes
from lerobot_ambient.data.export.record import record_of
from lerobot_ambient.data.mixture import make_mixture

from .test_mixture import OPTIONS, recipe

TRAINED_ON = (30 - 5) + (12 - 5) + (18 - 5)
"""Frames of me/sim that start samples, without its third episode and the last five of each."""


@pytest.fixture
def mixture(target_root, source_root):
    def make(drop_n_last_frames=5, **options):
        target, sim = Source("me/target", root=str(target_root)), Source("me/sim", root=str(source_root), **options)
        chosen = recipe(mixing=Cotrain(), drop_n_last_frames=drop_n_last_frames)
        return make_mixture(target, [sim], OPTIONS, chosen)

    return make


def episodes_of(mixture, rows):
    return sorted(set(mixture.sources[1].columns["episode_index"][rows].tolist()))


@pytest.mark.parametrize(("share", "held"), [(0.01, [2]), (0.25, [2]), (0.5, [1, 3]), (0.75, [0, 2, 3])])
def test_held_out_episodes_are_evenly_spaced_and_at_least_one(mixture, share, held):
    made = mixture(holdout=share)
    assert episodes_of(made, made.held_out_rows(1)) == held
    assert episodes_of(made, made.sample_rows(1)) == [episode for episode in range(4) if episode not in held]
    assert not len(made.held_out_rows(0))
    assert f"'me/sim': holdout={share:g} keeps {len(held)} of its 4 episodes from training." in made.notes


def test_they_are_in_no_group_and_count_for_no_share(mixture):
    made, whole = mixture(holdout=0.25), mixture()
    counts = {group.name: group.count for group in made.plan.groups}
    assert counts == {"me/target": (20 + 9 + 15) - 15, "me/sim": TRAINED_ON}
    drawn = {frame - int(made.dataset.offsets[1]) for frame in made.sampler(seed=0)}
    assert (record_of(made)[1].episodes, record_of(made)[1].frames) == (3, 30 + 12 + 18)
    assert not drawn & set(made.held_out_rows(1).tolist())
    # What is left is the whole without them.
    both = np.concatenate([made.sample_rows(1), made.held_out_rows(1)])
    assert sorted(both.tolist()) == whole.sample_rows(1).tolist()


def test_a_mixture_without_holdout_keeps_its_fingerprint_and_one_with_it_says_so(mixture):
    plain, zero, some, more = mixture(), mixture(holdout=0.0), mixture(holdout=0.2), mixture(holdout=0.25)
    assert plain.fingerprint == zero.fingerprint
    assert "holdout" not in plain.fingerprint[1]
    assert ", holdout 0.2, " in some.fingerprint[1]
    # The same episode is held out by both, and yet they were declared differently.
    assert len({made.fingerprint[1] for made in (plain, some, more)}) == 3


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match=r"source 'me/sim': holdout is the share of its episodes .*from 0 to below 1"):
        Source("me/sim", holdout=share)


def test_a_source_keeps_an_episode_to_train_on(mixture):
    with pytest.raises(ValueError, match=r"'me/sim': holdout=0.9 leaves none of its 4 episodes to train on; lower it"):
        mixture(holdout=0.9)


def test_a_merge_on_disk_cannot_hold_out(mixture):
    with pytest.raises(ValueError, match=r"source 'me/sim': holdout=0.25 keeps episodes from training, which a merged"):
        MixtureEpisodes(mixture(holdout=0.25))
