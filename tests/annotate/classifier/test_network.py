# SPDX-License-Identifier: Apache-2.0
"""The network: silent at the start and at sigma = 1, blind to global generators; and the method's options."""

import math

import pytest
import torch

from lerobot_ambient.annotate.classifier.network import NoisyChunkClassifier
from lerobot_ambient.annotate.classifier.options import ClassifierOptions

D, SOURCES = 6, 3


def network(seed=0, blocks=2, dropout=0.5, awake=True, sources=SOURCES):
    made = NoisyChunkClassifier(
        torch.zeros(D),
        torch.ones(D),
        sources,
        width=16,
        blocks=blocks,
        dropout=dropout,
        generator=torch.Generator().manual_seed(seed),
    )
    if awake:
        torch.nn.init.normal_(made.answer.weight, generator=torch.Generator().manual_seed(seed))
        for leave in made.leave:
            torch.nn.init.normal_(leave.weight, generator=torch.Generator().manual_seed(seed))
    return made


def noised(count=50, seed=0):
    return torch.randn(count, D, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 0.999])
def test_it_starts_as_cannot_tell(sigma):
    assert torch.equal(network(awake=False)(noised(), torch.tensor([sigma])), torch.zeros(50, SOURCES))


def test_nothing_can_be_told_from_pure_noise():
    logits = network()(noised(), torch.ones(1))
    assert torch.equal(logits, torch.zeros(50, SOURCES))


def test_logits_fade_with_the_signal():
    net = network()
    sizes = [net(noised(500), torch.tensor([sigma])).abs().max().item() for sigma in (0.9, 0.99, 0.9999)]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert sizes[2] < 2 * math.sqrt(1 - 0.9999**2) * sizes[0] / math.sqrt(1 - 0.9**2)


@pytest.mark.parametrize("sigma", [0.0, 1e-12, 1.0 - 1e-7, 1.0])
def test_the_extreme_levels_are_finite(sigma):
    assert torch.isfinite(network()(noised(), torch.tensor([sigma]))).all()


def test_one_level_for_all_is_that_level_for_each():
    net = network()
    torch.testing.assert_close(net(noised(), torch.tensor([0.4])), net(noised(), torch.full((50,), 0.4)))


def test_the_scale_and_place_of_chunks_do_not_matter_without_noise():
    """Whitening by the moments of x_0: at a tiny level, y = 100 x + 5 looks as x does."""
    plain = network()
    moved = NoisyChunkClassifier(
        torch.full((D,), 5.0),
        torch.full((D,), 100.0**2),
        SOURCES,
        width=16,
        blocks=2,
        dropout=0.5,
        generator=torch.Generator().manual_seed(0),
    )
    moved.load_state_dict({**plain.state_dict(), "mean": moved.mean, "variance": moved.variance})
    sigma = torch.tensor([1e-3])
    torch.testing.assert_close(moved(100 * noised() + 5, sigma), plain(noised(), sigma), rtol=1e-2, atol=1e-2)


def test_sources_have_answers_of_their_own_on_a_common_trunk():
    net = network(sources=2)
    with torch.no_grad():
        net.answer.weight[1] = 0.0
    logits = net(noised(), torch.tensor([0.4]))
    assert logits[:, 0].abs().min() > 0 and (logits[:, 1] == 0).all()


def test_dropout_comes_from_the_generator_given_and_only_from_it():
    net = network()
    sigma = torch.tensor([0.4])
    whole = net(noised(), sigma)
    first, same, other = (net(noised(), sigma, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other) and not torch.equal(first, whole)
    assert torch.equal(whole, net(noised(), sigma))


def test_it_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    weights = torch.cat([parameter.flatten() for parameter in network(awake=False).parameters()])
    network()(noised(), torch.tensor([0.4]), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = torch.cat([parameter.flatten() for parameter in network(awake=False).parameters()])
    assert torch.equal(weights, again)
    assert torch.isfinite(weights).all()


def test_a_network_without_blocks_works():
    assert network(blocks=0)(noised(), torch.tensor([0.4])).shape == (50, SOURCES)


@pytest.mark.parametrize(
    ("option", "bad", "message"),
    [
        ("folds", 0, "folds = 0 must be at least 1"),
        ("seed", -1, "seed = -1 must be at least 0"),
        ("levels", 1, "levels = 1 must be at least 2"),
        ("draws", 2, "draws = 2 must be at least 4"),
        ("draws", 5, r"draws = 5 must be even: noise is drawn in pairs"),
        ("train_chunks", 0, "train_chunks = 0 must be at least 1"),
        ("score_chunks", 0, "score_chunks = 0 must be at least 1"),
        ("steps", 0, "steps = 0 must be at least 1"),
        ("batch", 1, "batch = 1 must be at least 2"),
        ("width", 0, "width = 0 must be at least 1"),
        ("blocks", -1, "blocks = -1 must be at least 0"),
        ("dropout", 1.0, r"dropout = 1.0 must lie in \[0, 1\)"),
        ("dropout", -0.1, r"dropout = -0.1 must lie in \[0, 1\)"),
        ("learning_rate", 0.0, "learning_rate = 0.0 must be positive"),
        ("learning_rate", float("nan"), "learning_rate = nan must be positive"),
        ("weight_decay", -1e-9, "weight_decay = -1e-09 must not be negative"),
    ],
)
def test_options_out_of_range_are_refused(option, bad, message):
    with pytest.raises(ValueError, match=message):
        ClassifierOptions(**{option: bad})


def test_options_at_their_bounds_are_taken():
    options = ClassifierOptions(folds=1, seed=0, levels=2, draws=4, steps=1, batch=2, width=1, blocks=0, dropout=0.0)
    assert options.weight_decay == 1e-2
