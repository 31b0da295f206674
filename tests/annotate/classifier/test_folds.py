# SPDX-License-Identifier: Apache-2.0
"""Episodes dealt to folds, the chunks drawn from a dataset, and what cannot be compared."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks, shared_dims
from lerobot_ambient.annotate.chunks.cosines import cosine_transform
from lerobot_ambient.annotate.classifier.folds import draw_chunks, fold_of_chunks

BOTH = torch.ones(2, dtype=torch.bool)


def chunks(episodes=6, per_episode=5, horizon=4, dims=2, seed=0, name="sim"):
    x_0 = torch.randn(episodes * per_episode, horizon, dims, generator=torch.Generator().manual_seed(seed))
    return ArrayChunks(name, x_0, np.repeat(np.arange(episodes), per_episode))


def with_action(where, value):
    changed = chunks()
    changed.x_0[where] = value
    return changed


def draw(data, dims=BOTH, limit=1000, seed=0):
    return draw_chunks(data, dims, np.zeros(len(data), dtype=np.int64), limit, seed)


@given(st.lists(st.integers(1, 7), min_size=2, max_size=30), st.integers(1, 10), st.integers(0, 99))
def test_episodes_stay_whole_and_folds_are_equally_large(sizes, folds, seed):
    folds = min(folds, len(sizes))
    # Episodes are numbered with gaps, as those of a filtered dataset are.
    episode = np.repeat(3 * np.arange(len(sizes)) + 2, sizes)
    data = ArrayChunks("sim", torch.zeros(len(episode), 1, 1), episode)
    fold = fold_of_chunks(data, folds, seed)
    of_episode = {name: set(fold[episode == name]) for name in set(episode)}
    assert all(len(found) == 1 for found in of_episode.values())
    count = np.bincount([found.pop() for found in of_episode.values()], minlength=folds)
    assert len(count) == folds and count.max() - count.min() <= 1


def test_the_seed_deals_the_episodes():
    data = chunks(episodes=20)
    first = fold_of_chunks(data, 5, 0)
    torch.manual_seed(1)
    np.random.seed(1)
    np.testing.assert_array_equal(fold_of_chunks(data, 5, 0), first)
    assert (fold_of_chunks(data, 5, 1) != first).any()


def test_data_sets_with_the_same_episodes_get_the_same_folds():
    """Whatever their lengths: a copy of the target is held out together with its original."""
    one, other = chunks(episodes=12, per_episode=3), chunks(episodes=12, per_episode=7, seed=1)
    np.testing.assert_array_equal(fold_of_chunks(one, 4, 2)[::3], fold_of_chunks(other, 4, 2)[::7])


@pytest.mark.parametrize(
    ("episodes", "folds", "advice"),
    [(4, 5, "Use --folds=4 or more episodes"), (1, 2, "Use --folds=2 and a second episode")],
)
def test_too_few_episodes_are_refused(episodes, folds, advice):
    with pytest.raises(ValueError, match=f"'sim' has {episodes} episodes, too few for {folds} folds.*{advice}"):
        fold_of_chunks(chunks(episodes=episodes), folds, 0)


def test_as_many_episodes_as_folds_are_enough():
    assert sorted(set(fold_of_chunks(chunks(episodes=5), 5, 0))) == [0, 1, 2, 3, 4]


def test_a_sample_is_drawn_without_replacement_and_its_rows_belong_together():
    data = chunks(episodes=30)
    sample = draw_chunks(data, BOTH, fold_of_chunks(data, 3, 0), 100, 0)
    assert len(sample) == len(set(sample.index)) == 100
    np.testing.assert_array_equal(sample.episode, data.episode[sample.index])
    np.testing.assert_array_equal(sample.fold, fold_of_chunks(data, 3, 0)[sample.index])
    torch.testing.assert_close(sample.x_0, cosine_transform(data.x_0[sample.index]).flatten(1))
    head = sample.head(7)
    assert len(head) == 7 and torch.equal(head.x_0, sample.x_0[:7])


def test_every_chunk_is_equally_likely():
    data = chunks(episodes=2, per_episode=5)
    count = np.zeros(10)
    for seed in range(400):
        count[draw(data, limit=3, seed=seed).index] += 1
    # Binomial(400, 0.3) has a standard deviation of 9.2.
    assert np.abs(count - 120).max() < 4 * 9.2


def test_only_compared_dimensions_are_read():
    sample = draw(chunks(dims=2), torch.tensor([False, True]))
    assert sample.x_0.shape == (30, 4)


def test_constant_actions_are_refused():
    with pytest.raises(
        ValueError, match=r"'sim': its 2 compared action dimensions never change.*leave the dataset out"
    ):
        draw(with_action(..., 0.3))


def test_one_dimension_that_moves_is_enough():
    assert len(draw(with_action((..., 1), 0.3))) == 30
    with pytest.raises(ValueError, match="its 1 compared action dimensions never change"):
        draw(with_action((..., 1), 0.3), torch.tensor([False, True]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_actions_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="'sim': normalised actions are not finite"):
        draw(with_action((3, 1, 0), value))


@dataclasses.dataclass(frozen=True, eq=False)
class Short(ArrayChunks):
    """Episodes of two steps: every chunk is padded from its third step on, but for the first `whole` chunks."""

    whole: int = 0

    def gather(self, index):
        x_0, is_pad = super().gather(index)
        is_pad[index >= self.whole, 2:] = True
        return x_0, is_pad


def test_chunks_longer_than_all_episodes_are_refused():
    data = chunks()
    with pytest.raises(ValueError, match=r"'sim': every chunk of 4 actions runs beyond its episode.*shorter"):
        draw(Short(data.name, data.x_0, data.episode))
    assert len(draw(Short(data.name, data.x_0, data.episode, whole=1))) == 30


def test_chunks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"'real' are 4 x 2, those of 'sim' 5 x 2 \(horizon x dimensions\)"):
        shared_dims(chunks(name="real"), chunks(horizon=5))
    with pytest.raises(ValueError, match=r"'real' are 4 x 2, those of 'sim' 4 x 3"):
        shared_dims(chunks(name="real"), chunks(dims=3))


def test_data_sets_without_a_common_dimension_are_refused():
    class Half(ArrayChunks):
        @property
        def counts(self):
            return torch.tensor([False, True]) if self.name == "right" else torch.tensor([True, False])

    left, right = (Half(name, chunks().x_0, chunks().episode) for name in ("left", "right"))
    with pytest.raises(ValueError, match="'left' and 'right' have no action dimension in common; align the source"):
        shared_dims(left, right)
    assert shared_dims(chunks(), right).tolist() == [False, True]


def test_arrays_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match=r"'x': chunks of shape \(3, 4, 2\) with episodes of shape \(2,\)"):
        ArrayChunks("x", torch.zeros(3, 4, 2), np.zeros(2, dtype=np.int64))
