# SPDX-License-Identifier: Apache-2.0
"""A loss that is not finite: whose it is, and what it is put down to."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lerobot_ambient.policy.shared.not_finite import NotFiniteError, not_finite

NAN, INF = math.nan, math.inf
PLACES = {7: "'me/target' episode 0, frame 7", 9: "'me/sim' episode 3, frame 1"}


def error(batch, losses, *, weight=1.0, steps=12, place_of=PLACES.get):
    model = nn.Linear(1, 1)
    model.weight.data.fill_(weight)
    batch = {
        "observation.state": torch.zeros(2, 1, 2),
        "action": torch.zeros(2, 4, 2),
        "index": torch.tensor([7, 9]),
    } | batch
    names = {"observation.state": ["pan", "lift"], "action": ["pan", "lift"]}
    made = not_finite(batch, torch.tensor(losses), model, place_of=place_of, names=names, steps=steps)
    assert isinstance(made, NotFiniteError)
    return str(made)


def test_an_input_is_named_with_its_joint_and_only_its_sample():
    state = torch.zeros(2, 1, 2)
    state[1, 0, 1] = INF
    # Batch normalisation has carried it into both losses.
    assert error({"observation.state": state}, [NAN, NAN]).startswith(
        "the loss is nan after 12 steps, in 1 of 2 samples of a batch:\n  'me/sim' episode 3, frame 1\n"
        "Not finite once normalised: observation.state (lift). "
    )


def test_a_camera_is_an_input_and_a_flag_is_none():
    image = torch.zeros(2, 1, 3, 2, 2)
    image[0] = NAN
    said = error({"observation.images.top": image, "action_is_pad": torch.ones(2, 4, dtype=torch.bool)}, [NAN, 1.0])
    assert "'me/target' episode 0, frame 7\nNot finite once normalised: observation.images.top. " in said


@pytest.mark.parametrize("weight", [NAN, INF, 1e30])
def test_weights_are_put_down_to_a_step_that_was_too_large(weight):
    said = error({}, [1.0, INF], weight=weight)
    assert said.startswith("the loss is inf after 12 steps, in 1 of 2 samples of a batch:\n  'me/sim'")
    assert (
        f"a weight of the network is {weight:.3g}: an earlier step was too large. Lower --policy.optimizer_lr" in said
    )


def test_otherwise_the_largest_input_is_the_evidence():
    action = torch.zeros(2, 4, 2)
    action[0, 0, 0], action[1, 2, 1] = 9e9, -3e20
    assert "the largest input is 3e+20, in action." in error({"action": action}, [1.0, INF])


@pytest.mark.parametrize(
    ("batch", "place_of", "expected"),
    [
        ({"index": torch.tensor([7, 50])}, PLACES.get, "frame with index 50"),
        ({}, None, "held-out frame with index 9"),
        ({"index": None}, None, "sample 1 of the batch"),
    ],
)
def test_samples_without_a_place_are_still_told(batch, place_of, expected):
    assert f"samples of a batch:\n  {expected}\n" in error(batch, [1.0, NAN], place_of=place_of, steps=None)
