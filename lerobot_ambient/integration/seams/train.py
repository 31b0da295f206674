# SPDX-License-Identifier: Apache-2.0
"""How `lerobot-train` comes to train on a mixture.

`lerobot.scripts.lerobot_train` has no hook for datasets. It looks up `make_train_eval_datasets` and
`EpisodeAwareSampler` in its own namespace; the functions that stand there behave differently for our policy types and
call the originals for every other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_origin

from lerobot_ambient.integration.hooks.substitute import arguments, refuse_others
from lerobot_ambient.integration.seams import recording

EPISODES = ("dataset_from_indices", "dataset_to_indices", "episode_indices_to_use")
HANDLE = "absolute_to_relative_idx"
"""The attribute of a dataset that LeRobot hands to the sampler untouched. Of a merged one it is the dataset itself."""

_SPLIT, _UNUSED = {"train", "eval"}, {"test", "episode_split"}
"""Fields of the dataclass in which a later LeRobot gives its datasets back: ours, and those of a split by its own law,
which `dataset.split_ratio` asks for and which is refused."""


def merging(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `make_train_eval_datasets`, which merges the datasets of a policy of ours."""
    packed = _packing(original)

    def make_train_eval_datasets(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.training.configured_mixture import is_ambient
        from lerobot_ambient.integration.training.merged_training import make_merged_datasets

        given = arguments(original, args, kwargs)
        cfg = given["cfg"]
        if not is_ambient(cfg):
            recording.forget()
            return original(*args, **kwargs)
        refuse_others(original, given, ("cfg",))
        dataset, held_out = make_merged_datasets(cfg)
        recording.begin(cfg, dataset, held_out)
        return packed(dataset, held_out)

    return make_train_eval_datasets


def other_result(original: Callable[..., Any]) -> str | None:
    """How what LeRobot's function gives back is unknown; None where it is a pair, or says nothing of it."""
    try:
        kind = _result(original)
    except NameError as error:
        return f"what {original.__name__} returns cannot be known: {error}"
    if kind is None:
        return None
    names = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    if names >= _SPLIT and names <= _SPLIT | _UNUSED:
        return None
    told = f" of {', '.join(sorted(names))}" if names else ""
    return f"{original.__name__} returns {getattr(kind, '__name__', kind)}{told}"


def _result(original: Callable[..., Any]) -> Any:
    """The type that a function returns, None for a pair or where it is not said."""
    said = inspect.signature(original, eval_str=True).return_annotation
    return None if said is inspect.Signature.empty or said is tuple or get_origin(said) is tuple else said


def _packing(original: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """What makes of two datasets what LeRobot's function gives back."""
    kind = _result(original)
    if kind is None:
        return lambda train, held_out: (train, held_out)
    unused = dict.fromkeys({field.name for field in fields(kind)} - _SPLIT)
    return lambda train, held_out: kind(train=train, eval=held_out, **unused)


def sampling(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `EpisodeAwareSampler`, in whose place a merged dataset gives its own.

    Where the frames are not shuffled, which a later LeRobot asks for held-out episodes, they are those that may start a
    sample, in order.
    """
    known = (*EPISODES, "drop_n_first_frames", "drop_n_last_frames", "shuffle", "seed", HANDLE)

    def make_sampler(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset

        given = arguments(original, args, kwargs)
        handle = given[HANDLE]
        if not isinstance(handle, MergedTrainingDataset):
            return original(*args, **kwargs)
        refuse_others(original, given, known)
        if given["shuffle"]:
            return handle.mixture.sampler(given["seed"], look_ahead=handle.look_ahead)
        return handle.mixture.in_order()

    return make_sampler
