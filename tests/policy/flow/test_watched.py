# SPDX-License-Identifier: Apache-2.0
"""A watched held-out loss is the unwatched one, bit for bit, and its parts are at the levels that were drawn."""

import pytest
import torch
from lerobot.utils.constants import ACTION

from .mixtures import CLOSED, batch_of, pair
from .test_equal_to_stock import SERVED
from .test_tiny import CASES

PARTS = set(SERVED) - {"eo1", "fastwam", "wall_x"}
"""Whose loss is the mean of its parts. The others count padded dimensions, weigh levels, or add a loss of words."""


class Noted:
    def __init__(self):
        self.seen, self.endings = [], 0

    def saw(self, loss, sigma, per_sample):
        self.seen.append((loss, sigma, per_sample))

    def ended(self):
        self.endings += 1


def held_out(policy, batch):
    """Loss and the state of the generator after one held-out batch, as LeRobot's loop asks."""
    torch.manual_seed(7)
    with torch.no_grad():
        loss, _ = policy.eval().forward({**batch})
    return loss, torch.get_rng_state()


@pytest.mark.parametrize("case", SERVED)
def test_a_watched_loss_is_the_stock_policys_bit_for_bit(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    batch = batch_of(stock, size=6)
    # The policies differ in what they make of padding.
    batch |= {
        key: torch.zeros_like(value)
        for key, value in batch.items()
        if key in ("action_is_pad", "action_horizon_is_pad")
    }
    if "action_mask" in batch:
        batch["action_mask"] = batch["action_mask"].amax(dim=1, keepdim=True).expand_as(batch["action_mask"])
    theirs, ours = pair(stock, CLOSED)
    ours.watcher = noted = Noted()
    (loss, state), (our_loss, our_state) = held_out(theirs, batch), held_out(ours, batch)
    assert torch.equal(our_loss, loss)
    assert torch.equal(our_state, state)
    ((told, sigma, losses),) = noted.seen
    assert torch.equal(told, loss)
    assert len(sigma) % 6 == 0
    assert sigma.shape == losses.shape
    assert bool(((sigma >= 0) & (sigma <= 1)).all())
    if case in PARTS:
        assert float(losses.mean()) == pytest.approx(float(loss), rel=1e-5)
    assert losses.std() > 0
    assert noted.endings == 0
    ours.train()
    ours.train()
    assert noted.endings == 1


@pytest.mark.parametrize("case", SERVED)
def test_a_part_belongs_to_the_sample_that_it_was_drawn_for(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    batch = batch_of(stock, size=4)
    _, ours = pair(stock, CLOSED)
    losses = []
    for scale in (1.0, 30.0):
        ours.watcher = noted = Noted()
        # The third sample alone moves; the levels and the noise are the same.
        action = batch[ACTION].clone()
        action[2] *= scale
        held_out(ours, batch | {ACTION: action})
        losses.append(noted.seen[0][2])
    moved = ((losses[1] - losses[0]).abs() > 1e-3 * losses[0]).nonzero().flatten()
    repeats = len(losses[0]) // 4
    side_by_side = case == "molmoact2"
    assert moved.tolist() == (
        [2 * repeats + n for n in range(repeats)] if side_by_side else list(range(2, 4 * repeats, 4))
    )


@pytest.mark.parametrize("family", ["smolvla", "pi0"])
def test_held_out_samples_of_a_source_lack_what_it_lacks(family, tiny_config):
    stock = tiny_config(family)
    camera = next(iter(stock.image_features))
    lacks = {"action_mask": torch.tensor([[True] * 6, [True] * 5 + [False]])}
    lacks["absent_cameras"] = {camera: torch.tensor([False, True])}
    _, ours = pair(stock, CLOSED, **lacks)
    ours.watcher = noted = Noted()
    batch = batch_of(stock, size=4)
    action = batch[ACTION].clone()
    action[..., 5] += 50.0
    for masks in (False, True):
        ours.masks_held_out = masks
        first, second = (held_out(ours, one)[0] for one in (batch, batch | {ACTION: action}))
        assert bool(first == second) is False  # The target's samples have it.
        parts = [seen[2] for seen in noted.seen[-2:]]
        assert torch.equal(parts[0][1::2], parts[1][1::2]) == masks
        assert not torch.equal(parts[0][::2], parts[1][::2])
