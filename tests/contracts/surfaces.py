# SPDX-License-Identifier: Apache-2.0
"""The doors through which the contracts are read: LeRobot's registries and scripts, our command, files.

Nothing here, and nothing else in this folder, imports a module of the package by its place, so that a move inside the
package changes no contract and no test of one.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

PACKAGE = "lerobot_ambient"

SMALL: dict[str, Any] = {
    "type": "ambient_diffusion",
    "push_to_hub": False,
    "device": "cpu",
    "denoiser": "mlp",
    "mlp_width": 16,
    "mlp_depth": 1,
    "horizon": 8,
    "n_action_steps": 4,
    "drop_n_last_frames": 2,
}
"""The `policy:` of a configuration whose training takes milliseconds a step."""


def command() -> Any:
    """What the console script `lerobot-ambient` calls, as pyproject.toml names it."""
    root = Path(__file__).resolve().parents[2]
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["lerobot-ambient"].partition(":")
    return getattr(importlib.import_module(module), function)


def parser() -> argparse.ArgumentParser:
    """The parser of `lerobot-ambient` with all its verbs, caught when it is about to read the words."""

    class CaughtError(Exception):
        pass

    caught: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        caught.append(self)
        raise CaughtError

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop):
        try:
            command()([])
        except CaughtError:
            return caught[0]
    raise AssertionError("the command read its words without argparse")


def registered(registry: Any) -> dict[str, type]:
    """Type name to class of what this package registered in one of LeRobot's choice registries."""
    _discover()
    choices = registry.get_known_choices()
    return {name: cls for name, cls in sorted(choices.items()) if cls.__module__.split(".")[0] == PACKAGE}


@cache
def _discover() -> None:
    """LeRobot's discovery of plugins, which reads the metadata of every installed distribution: once is enough."""
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()


def configuration(
    target: Path, sources: Sequence[Mapping[str, Any]] = (), policy: Mapping[str, Any] | None = None, **more: Any
) -> Any:
    """LeRobot's TrainPipelineConfig as `lerobot-train` reads it from a file with these values, short of a parser.

    Args:
        target: folder of the target, `me/<its name>`.
        sources: their entries in `policy: sources:`.
        policy: further values of `policy:`; the rest is SMALL.
        more: further values beside `policy:`; `dataset` is merged with the target's.
    """
    import draccus
    import lerobot.policies  # noqa: F401 (registers LeRobot's own types)
    from lerobot.configs.train import TrainPipelineConfig

    registered_policies()
    values = {
        "num_workers": 0,
        "env_eval_freq": 0,
        "seed": 0,
        "save_checkpoint": False,
        **more,
        "dataset": {
            "repo_id": f"me/{target.name}",
            "root": str(target),
            "use_imagenet_stats": False,
            **more.get("dataset", {}),
        },
        # Shares by size, which old checkpoints say in so many words and go on with.
        "policy": {
            "mixing": {"type": "ambient", "alpha": None},
            **SMALL,
            **(policy or {}),
            "sources": [dict(source) for source in sources],
        },
    }
    return draccus.decode(TrainPipelineConfig, values)


def registered_policies() -> dict[str, type]:
    """The policy types of this package."""
    from lerobot.configs import PreTrainedConfig

    return registered(PreTrainedConfig)


def merged(cfg: Any) -> Any:
    """The dataset that LeRobot's training script is given; leaves fingerprint and record in `cfg.policy`."""
    from lerobot.scripts import lerobot_train

    registered_policies()
    return lerobot_train.make_train_eval_datasets(cfg)[0]


def sampler(dataset: Any, seed: int) -> Any:
    """The sampler that LeRobot's training script makes for it."""
    from lerobot.scripts import lerobot_train

    return lerobot_train.EpisodeAwareSampler(
        *([], []), shuffle=True, seed=seed, absolute_to_relative_idx=dataset.absolute_to_relative_idx
    )


def loader(dataset: Any, batch_size: int, *, seed: int = 0, rank: int | None = None) -> DataLoader[Any]:
    """The loader that LeRobot's training script makes; with a rank, accelerate's share of one of two processes."""
    from accelerate.data_loader import prepare_data_loader
    from torch.utils.data import DataLoader

    whole: DataLoader[Any] = DataLoader(dataset, batch_size=batch_size, sampler=sampler(dataset, seed), num_workers=0)
    if rank is None:
        return whole
    return prepare_data_loader(whole, num_processes=2, process_index=rank, put_on_device=False)


def fresh_policy(cfg: Any, dataset: Any, *, seed: int = 0) -> tuple[Any, Any]:
    """The policy that LeRobot's training script makes, in training, and the preprocessor of its batches."""
    import torch
    from lerobot.policies import make_policy, make_pre_post_processors

    torch.manual_seed(seed)
    policy = make_policy(copy.deepcopy(cfg.policy), ds_meta=dataset.meta)
    preprocessor, _ = make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats)
    return policy.train(), preprocessor


@contextmanager
def watched_policy() -> Iterator[list[dict[str, Any]]]:
    """What every policy of ours is trained on inside: a list with one entry a step.

    An entry has `frames` (the batch's `index`), `timesteps` (as the network is given them) and `loss`.
    """
    from lerobot.policies.factory import get_policy_class

    registered_policies()
    policy_class = get_policy_class("ambient_diffusion")
    original = policy_class.forward
    seen: list[dict[str, Any]] = []

    def forward(self: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        timesteps: list[list[int]] = []
        network = self.diffusion.unet
        hook = network.register_forward_pre_hook(lambda _, inputs: timesteps.append(inputs[1].tolist()))
        try:
            loss, logs = original(self, batch, *args, **kwargs)
        finally:
            hook.remove()
        seen.append({"frames": batch["index"].tolist(), "timesteps": timesteps[0], "loss": float(loss)})
        return loss, logs

    with mock.patch.object(policy_class, "forward", forward):
        yield seen


def train(words: Sequence[str]) -> list[dict[str, Any]]:
    """Stock `lerobot-train` with these words, in this process; returns what `watched_policy` saw."""
    from lerobot.scripts import lerobot_train

    with watched_policy() as seen, mock.patch.object(sys, "argv", ["lerobot-train", *words]):
        lerobot_train.main()
    return seen


def trained_policy(folder: Path) -> tuple[Any, Any, Any]:
    """A checkpoint as LeRobot's evaluation and rollout load it: the policy and its two processors."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    registered_policies()
    config = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    return policy.eval(), *make_pre_post_processors(config, pretrained_path=str(folder))
