# SPDX-License-Identifier: Apache-2.0
"""With open windows an ambient form is its stock policy: loss, gradients and the generator's state, bit for bit."""

import pytest
import torch
from lerobot.configs import PreTrainedConfig

from lerobot_ambient.policy import registered as registered

from .mixtures import CLOSED, OPEN, batch_of, pair
from .test_tiny import CASES

# Every tiny model whose family has an ambient form.
SERVED = [case for case in CASES if f"ambient_{case.split()[0]}" in PreTrainedConfig.get_known_choices()]


def step(policy, batch):
    """Loss, gradients and the state of the generator after one training step."""
    torch.manual_seed(7)
    loss, told = policy.forward({**batch})
    loss.backward()
    gradients = {name: one.grad for name, one in policy.named_parameters() if one.grad is not None}
    return loss.detach(), gradients, torch.get_rng_state(), told


@pytest.mark.parametrize("case", SERVED)
def test_open_windows_are_the_stock_policy_bit_for_bit(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    batch = batch_of(stock)
    theirs, ours = pair(stock, OPEN)
    assert type(theirs) in type(ours).__mro__
    (loss, gradients, state, _), (our_loss, our_gradients, our_state, told) = step(theirs, batch), step(ours, batch)
    assert torch.equal(our_loss, loss)
    assert our_gradients.keys() == gradients.keys()
    assert all(torch.equal(our_gradients[name], gradients[name]) for name in gradients)
    assert torch.equal(our_state, state)
    assert told["share/target"] == 0.5
    assert told["sigma/target"] > 0


@pytest.mark.parametrize("case", SERVED)
def test_a_closed_window_changes_the_sources_samples_alone(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    theirs, ours = pair(stock, CLOSED)
    assert not torch.equal(step(theirs, batch_of(stock))[0], step(ours, batch_of(stock))[0])
    told = [step(ours, batch_of(stock, seed=seed))[3] for seed in range(6)]
    assert all(one["sigma/sim"] > 0.0 for one in told)
    # In evaluation, and without groups, it is the stock policy again.
    theirs.eval(), ours.eval()
    assert torch.equal(step(theirs, batch_of(stock))[0], step(ours, batch_of(stock))[0])


@pytest.mark.parametrize("case", SERVED)
def test_a_batch_without_groups_is_refused_in_training(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    batch = batch_of(stock)
    del batch["info"]
    with pytest.raises(ValueError, match="carries no info"):
        pair(stock, CLOSED)[1].forward(batch)
