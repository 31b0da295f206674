# SPDX-License-Identifier: Apache-2.0
"""An ambient form acts as its stock policy, and its time on a robot is taken with what it reads."""

import logging
from dataclasses import fields

import pytest
import torch
from lerobot.policies.factory import make_pre_post_processors

from lerobot_ambient.integration.deployment.robot import warn_if_slow
from lerobot_ambient.policy.flow.families import FAMILIES
from lerobot_ambient.policy.shared.latency import slow_warning

from .mixtures import OPEN, ambient_config, pair
from .test_equal_to_stock import SERVED
from .test_tiny import CASES
from .tiny import observation, statistics


@pytest.mark.parametrize("case", SERVED)
def test_it_acts_as_stock_and_is_timed(case, tiny_config, caplog):
    stock = tiny_config(case.split()[0], **CASES[case])
    theirs, ours = pair(stock, OPEN)
    preprocess, _ = make_pre_post_processors(stock, dataset_stats=statistics(stock))
    actions = []
    for policy in (theirs.eval(), ours.eval()):
        policy.reset()
        torch.manual_seed(2)
        actions.append(policy.select_action(preprocess(observation(stock))))
    assert torch.equal(*actions)
    with caplog.at_level(logging.WARNING):
        warn_if_slow(ours, 1e6, preprocess)
    assert "What helps: " in caplog.text
    assert "--fps=" in caplog.text


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_makes_it_quicker_is_an_option_of_its_own(family, tiny_config):
    config = ambient_config(
        tiny_config(family, **({"objective": "flow_matching"} if family == "multi_task_dit" else {}))
    )
    steps = FAMILIES[family].steps
    if steps is None:
        assert family == "wall_x"
        return
    assert steps in {field.name for field in fields(config)}
    if getattr(config, steps) != 1:
        assert f"fewer steps by --policy.{steps}, or --fps=4" in slow_warning(0.25, config, 30)
