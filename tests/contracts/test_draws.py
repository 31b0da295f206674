# SPDX-License-Identifier: Apache-2.0
"""What is drawn at fixed seeds: frames by the sampler, noise levels by the policy, and the losses that follow.

A run that is resumed, or repeated to check a figure, must see the same frames at the same noise levels.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from itertools import chain, islice, pairwise
from unittest import mock

import numpy as np
import pytest
import torch

from .surfaces import fresh_policy, loader, sampler, watched_policy

DRAWN = (
    *("target_alone", "plain", "omni", "everything", "weighted", "twice", "windows_file", "own_statistics"),
    *("target_only", "cotrain_alpha", "alpha", "soft", "exclusive", "ambient_loss", "relative", "schedule"),
)
BATCH = 8


def digest(numbers) -> str:
    return hashlib.sha256(np.asarray(numbers, dtype="<i8").tobytes()).hexdigest()[:16]


def steps(cfg, dataset, *, rank=None, number=3):
    """What the policy is trained on in the first steps of a run, or of one of its two processes."""
    batches = list(islice(loader(dataset, BATCH, rank=rank), number))
    policy, preprocessor = fresh_policy(cfg, dataset)
    with watched_policy() as seen, ExitStack() as stack:
        if rank is not None:
            stack.enter_context(mock.patch("torch.distributed.is_initialized", return_value=True))
            stack.enter_context(mock.patch("torch.distributed.get_rank", return_value=rank))
        for batch in batches:
            policy.forward(preprocessor(batch))
    return seen


@pytest.fixture(scope="module")
def drawn(opened):
    found = {}
    for name in DRAWN:
        cfg, dataset = opened(name)
        ours = sampler(dataset, seed=0)
        found[name] = ([list(ours) for _ in range(3)], steps(cfg, dataset))
    return found


def test_frames_and_noise_levels_are_drawn_as_before(drawn, contract):
    contract(
        "draws.json",
        {
            name: {
                "draws in an epoch": len(epochs[0]),
                "three epochs": digest(list(chain(*epochs))),
                "frames": [step["frames"] for step in seen],
                "timesteps": [step["timesteps"] for step in seen],
            }
            for name, (epochs, seen) in drawn.items()
        },
    )


def test_losses_are_as_before(drawn, contract):
    contract(
        "losses.json", {name: [step["loss"] for step in seen] for name, (_, seen) in drawn.items()}, tolerance=1e-4
    )


def test_another_seed_draws_others(opened, contract):
    _, dataset = opened("omni")
    found = {str(seed): digest(list(sampler(dataset, seed))) for seed in (0, 1, 1000, 2**31)}
    assert len(set(found.values())) == len(found)
    contract("seeds.json", found)


@pytest.mark.parametrize("name", ["plain", "twice", "windows_file"])
def test_a_resumed_sampler_goes_on_where_it_was(name, opened, drawn):
    _, dataset = opened(name)
    epochs, _ = drawn[name]
    for epoch, start in ((0, 17), (1, 0), (2, 40)):
        resumed = sampler(dataset, seed=0)
        resumed.load_state_dict({"epoch": epoch, "start_index": start})
        assert list(resumed) == epochs[epoch][start:]


def test_two_processes_share_the_draws_of_one(opened, drawn, contract):
    cfg, dataset = opened("omni")
    whole = [batch["index"].tolist() for batch in loader(dataset, BATCH)]
    shares = [[batch["index"].tolist() for batch in loader(dataset, BATCH, rank=rank)] for rank in (0, 1)]
    assert [batch for pair in zip(*shares, strict=True) for batch in pair][: len(whole) - 1] == whole[:-1]
    noise = [[step["timesteps"] for step in steps(cfg, dataset, rank=rank)] for rank in (0, 1)]
    # Process 0 draws as a process alone does.
    assert noise[0][0] == drawn["omni"][1][0]["timesteps"]
    contract("two_processes.json", {"frames": [share[:3] for share in shares], "timesteps": noise})


def test_no_draw_reads_what_another_library_left_behind(opened, drawn):
    _, dataset = opened("twice")
    torch.manual_seed(123)
    np.random.seed(5)
    assert list(sampler(dataset, seed=0)) == drawn["twice"][0][0]
    assert all(a != b for a, b in pairwise(drawn["twice"][0]))
