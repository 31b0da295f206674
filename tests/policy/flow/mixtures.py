# SPDX-License-Identifier: Apache-2.0
"""An ambient form beside its stock policy: the same weights, the same batch, and a plan made by hand."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window

from .tiny import random_batch, statistics, stir

OPEN = (EVERYTHING, EVERYTHING)
CLOSED = (EVERYTHING, Window(0.7, 0.05))


def ambient_config(stock: PreTrainedConfig, **options: Any) -> Any:
    """The ambient form of a stock configuration, with the same values."""
    from lerobot_ambient.policy import registered as registered

    made = PreTrainedConfig.get_choice_class(f"ambient_{stock.type}")
    fields = {field.name for field in dataclasses.fields(made) if field.init}
    config = made(**{name: value for name, value in vars(stock).items() if name in fields}, **options)
    for name in vars(stock).keys() - fields:
        # What a configuration worked out for itself, such as a backbone's that it has loaded.
        setattr(config, name, getattr(stock, name))
    return config


def metadata(config: Any, windows: Any = CLOSED, mixing: Any = None, **more: Any) -> Any:
    """What LeRobot hands to a policy as the metadata of the dataset: two datasets with these windows."""
    groups = [
        Group(min(index, 1), name, count, window)
        for index, (name, count, window) in enumerate(
            zip(("target", "sim", "sim"), (40, 60, 50), windows, strict=False)
        )
    ]
    factor = config.ambient_loss_max_amplification if config.ambient_loss else None
    plan = make_plan(groups, config.noise_schedule(), mixing or Ambient(None), max_amplification=factor)
    mixture = SimpleNamespace(plan=plan, action_mask=None, absent_cameras=None, place_of=lambda index: f"frame {index}")
    return SimpleNamespace(mixture=SimpleNamespace(**{**vars(mixture), **more}), features={})


def pair(stock: PreTrainedConfig, windows: Any = CLOSED, mixing: Any = None, options: Any = None, **more: Any) -> Any:
    """(stock policy, its ambient form on that mixture), both in training, with the same weights."""
    config = ambient_config(stock, **(options or {}))
    theirs = get_policy_class(stock.type)(stock)
    stir(theirs)
    ours = get_policy_class(config.type)(config, dataset_meta=metadata(config, windows, mixing, **more))
    ours.load_state_dict(theirs.state_dict())
    return theirs.train(), ours.train()


def batch_of(config: PreTrainedConfig, size: int = 4, seed: int = 0) -> dict[str, Any]:
    """A batch after the preprocessor, every second sample of the source."""
    preprocess, _ = make_pre_post_processors(config, dataset_stats=statistics(config))
    batch = random_batch(config, size=size, seed=seed)
    batch["info"] = {"ambient_group": torch.arange(size) % 2}
    return preprocess(batch)
