# SPDX-License-Identifier: Apache-2.0
"""One fold: the levels it is scored at, what it learns from and what it may not, and whose noise is whose."""

import math

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.fold_training import held_out, score_blocks, score_levels, train_fold
from lerobot_ambient.annotate.classifier.folds import draw_chunks, fold_of_chunks
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.core.noise_levels import NoiseSchedule

SCHEDULE = NoiseSchedule(torch.sin(torch.linspace(0.02, math.pi / 2 - 0.004, 100, dtype=torch.float64)))
TINY = ClassifierOptions(folds=3, steps=40, levels=6, draws=4, width=16, blocks=1, batch=64)
CPU = torch.device("cpu")
SIGMAS = score_levels(SCHEDULE, 6)


def sample_of(shift=0.0, episodes=9, seed=0, folds=3, options=TINY):
    x_0 = torch.randn(episodes * 8, 4, 1, generator=torch.Generator().manual_seed(seed)) + shift
    chunks = ArrayChunks("data", x_0, np.repeat(np.arange(episodes), 8))
    dims = torch.ones(1, dtype=torch.bool)
    return draw_chunks(chunks, dims, fold_of_chunks(chunks, folds, options.seed), 10_000, options.seed)


def trained(target, sources, fold=0, options=TINY, tick=lambda: None):
    return train_fold(target, sources, fold, SIGMAS, options, CPU, tick)


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def logits(network, sample, options=TINY):
    return torch.cat(list(score_blocks(network, sample.x_0, sample.index, SIGMAS, options)))


def test_levels_are_the_schedules_and_even_in_the_angle():
    found = score_levels(SCHEDULE, 12)
    own = SCHEDULE.sigmas.numpy()
    assert len(found) == 12 and np.isin(found, own).all()
    assert found[0] == own[0] and found[-1] == own[-1]
    steps = np.diff(np.arcsin(found))
    assert steps.max() < 1.3 * steps.min()


def test_a_schedule_of_few_levels_gives_them_all():
    few = NoiseSchedule(torch.tensor([0.1, 0.2, 0.9, 1.0], dtype=torch.float64))
    np.testing.assert_allclose(score_levels(few, 32), [0.1, 0.2, 0.9, 1.0])


def test_a_fold_learns_nothing_from_its_own_episodes():
    """Other chunks in the held-out fold leave every weight and moment as it was."""
    target, source = sample_of(), sample_of(0.5, seed=1)
    spoilt = []
    for sample in (target, source):
        x_0 = sample.x_0.clone()
        x_0[torch.from_numpy(sample.fold == 1)] = 100.0
        spoilt.append(type(sample)(sample.name, sample.index, x_0, sample.episode, sample.fold))
    clean = trained(target, [source], 1)
    same, other = trained(spoilt[0], spoilt[1:], 1), trained(spoilt[0], spoilt[1:], 0)
    assert torch.equal(weights(clean), weights(same))
    assert torch.equal(clean.mean, same.mean) and torch.equal(clean.variance, same.variance)
    assert other.mean.max() > 1.0


def test_without_cross_fitting_everything_is_learnt_from_and_scored():
    options = ClassifierOptions(folds=1, steps=1, levels=2, draws=4, width=4, blocks=0)
    target = sample_of(folds=1, options=options)
    source = sample_of(3.0, folds=1, options=options)
    network = train_fold(target, [source], 0, SIGMAS, options, CPU, lambda: None)
    torch.testing.assert_close(network.mean, (target.x_0.mean(0) + source.x_0.mean(0)) / 2)
    assert len(held_out(target, 0, 1)) == len(target)


def test_held_out_positions_are_those_of_the_fold():
    sample = sample_of()
    parts = [held_out(sample, fold, 3) for fold in range(3)]
    assert all((sample.fold[part] == fold).all() for fold, part in enumerate(parts))
    assert sorted(np.concatenate(parts)) == list(range(len(sample)))


def test_training_ticks_once_a_step():
    count = []
    trained(sample_of(), [sample_of(seed=1)], tick=lambda: count.append(1))
    assert len(count) == TINY.steps


def test_whitening_takes_half_from_the_target_and_half_from_the_sources():
    target, sources = sample_of(), [sample_of(2.0, seed=1), sample_of(-4.0, seed=2)]
    network = trained(target, sources)
    seen = [sample.x_0[torch.from_numpy(sample.fold != 0)] for sample in (target, *sources)]
    expected = seen[0].mean(0) / 2 + seen[1].mean(0) / 4 + seen[2].mean(0) / 4
    torch.testing.assert_close(network.mean, expected)


def test_each_source_is_told_from_the_target_by_its_own_answer():
    options = ClassifierOptions(folds=3, steps=150, levels=6, draws=4, width=32, blocks=1, batch=128)
    target, same, right = sample_of(), sample_of(seed=1), sample_of(3.0, seed=2)
    network = trained(target, [same, right], options=options)
    held = right.x_0[torch.from_numpy(held_out(right, 0, 3))]
    low = network(held, torch.tensor([0.1]))
    assert low[:, 1].max() < -1.0
    assert network(target.x_0, torch.tensor([0.1]))[:, 0].abs().mean() < 1.0


def test_global_generators_play_no_part():
    target, source = sample_of(), sample_of(0.5, seed=1)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state()
    first = trained(target, [source])
    scored = logits(first, source)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.random.seed(2)
    second = trained(target, [source])
    assert torch.equal(weights(first), weights(second))
    assert torch.equal(scored, logits(second, source))


def test_the_seed_and_the_fold_draw_the_batches():
    target, source = sample_of(), sample_of(0.5, seed=1)
    one = weights(trained(target, [source], 0))
    assert not torch.equal(one, weights(trained(target, [source], 1)))
    other = ClassifierOptions(folds=3, steps=40, levels=6, draws=4, width=16, blocks=1, batch=64, seed=1)
    assert not torch.equal(one, weights(trained(target, [source], 0, other)))


def test_a_chunks_noise_is_its_own():
    """Its logits depend neither on what else is scored nor on its place in the block."""
    target, source = sample_of(), sample_of(0.5, seed=1)
    network = trained(target, [source])
    together = logits(network, source)
    some = np.array([40, 3, 17])
    alone = torch.cat(list(score_blocks(network, source.x_0[some], source.index[some], SIGMAS, TINY)))
    torch.testing.assert_close(alone, together[some], rtol=1e-4, atol=1e-5)
    moved = torch.cat(list(score_blocks(network, source.x_0[some], source.index[some] + 1, SIGMAS, TINY)))
    assert (moved - alone).abs().max() > 1e-3


def test_draws_come_in_pairs_of_opposite_noise():
    """A network that is linear in x gives opposite logits about that of the chunk itself."""
    seen = []

    class Linear(torch.nn.Module):
        answer = torch.nn.Linear(1, 1)

        def forward(self, x, sigma):
            seen.append((x, float(sigma)))
            return x.sum(1, keepdim=True)

    sample = sample_of()
    found = logits(Linear(), sample)
    assert found.shape == (len(sample), 6, 4, 1)
    alpha = torch.tensor(np.sqrt(1 - SIGMAS**2), dtype=torch.float32)
    clean = alpha * sample.x_0.sum(1, keepdim=True)
    for pair in (slice(0, 2), slice(2, 4)):
        torch.testing.assert_close(found[:, :, pair, 0].mean(-1), clean, rtol=1e-4, atol=1e-4)
    assert [sigma for _, sigma in seen] == pytest.approx(SIGMAS.tolist())
    # The noise itself has unit variance and is the same at every level.
    noise = (found[..., 0] - clean[:, :, None])[:, :, ::2] / torch.tensor(SIGMAS, dtype=torch.float32)[:, None]
    torch.testing.assert_close(noise[:, 0], noise[:, -1], rtol=1e-2, atol=1e-2)
    assert float(noise[:, -1].std()) == pytest.approx(2.0, rel=0.2)
