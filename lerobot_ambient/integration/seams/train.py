# SPDX-License-Identifier: Apache-2.0
"""How `lerobot-train` comes to train on a mixture: two names in one module are substituted.

`lerobot.scripts.lerobot_train` has no hook for datasets. It looks up `make_train_eval_datasets` and
`EpisodeAwareSampler` in its own namespace, so those two are replaced there by functions that behave
differently for our policy types and call the originals for every other. Before that their signatures are
compared with the ones this module was written for; on an unknown LeRobot nothing is replaced, a message is
logged, and training a policy that has sources stops with an error (the policy refuses an unmerged dataset).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

from lerobot_ambient.integration.hooks.after_import import after_import
from lerobot_ambient.integration.hooks.substitute import SeamError, substitute, unfamiliar
from lerobot_ambient.integration.seams import recording

logger = logging.getLogger(__name__)

TRAIN_MODULE = "lerobot.scripts.lerobot_train"
_SIGNATURES = {
    "make_train_eval_datasets": ("cfg",),
    "EpisodeAwareSampler": (
        "dataset_from_indices",
        "dataset_to_indices",
        "episode_indices_to_use",
        "drop_n_first_frames",
        "drop_n_last_frames",
        "shuffle",
        "seed",
        "absolute_to_relative_idx",
    ),
}


def install_when_imported() -> None:
    """Install now where LeRobot's training script is loaded, else as soon as it is."""
    after_import(TRAIN_MODULE, _install_or_log)


def install(module: ModuleType) -> None:
    """Substitute the two names in LeRobot's training script. Idempotent.

    Raises:
        SeamError: the script lacks one of them or its signature is another one.
    """
    found = problems(module)
    if found:
        raise SeamError(
            f"lerobot {version('lerobot')} is not supported by this lerobot_policy_ambient_diffusion "
            f"{_own_version()}: {'; '.join(found)}. Datasets cannot be merged inside lerobot-train; install "
            "lerobot 0.6.x or a newer lerobot_policy_ambient_diffusion."
        )
    substitute(module, "make_train_eval_datasets", _make_train_eval_datasets)
    substitute(module, "EpisodeAwareSampler", _make_sampler)
    recording.install(module)


def problems(module: ModuleType) -> list[str]:
    """How LeRobot's training script differs from those the seam knows; empty when it does not. Changes nothing."""
    return [problem for name, parameters in _SIGNATURES.items() if (problem := unfamiliar(module, name, parameters))]


def _make_train_eval_datasets(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_train_eval_datasets(cfg: Any) -> Any:
        from lerobot_ambient.integration.training.merged_training import is_ambient, make_merged_datasets

        if not is_ambient(cfg):
            recording.forget()
            return original(cfg)
        dataset, held_out = make_merged_datasets(cfg)
        recording.begin(cfg, dataset, held_out)
        return dataset, held_out

    return make_train_eval_datasets


def _make_sampler(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_sampler(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset

        handle = kwargs.get("absolute_to_relative_idx")
        if isinstance(handle, MergedTrainingDataset):
            return handle.mixture.sampler(kwargs["seed"], look_ahead=handle.look_ahead)
        return original(*args, **kwargs)

    return make_sampler


def _install_or_log(module: ModuleType) -> None:
    # LeRobot's discovery would swallow the exception together with the policy type, which still acts and evaluates.
    try:
        install(module)
    except SeamError as error:
        logger.error("%s", error)


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return version("lerobot_policy_ambient_diffusion")
    except PackageNotFoundError:
        return "(not installed)"
