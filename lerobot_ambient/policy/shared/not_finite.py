# SPDX-License-Identifier: Apache-2.0
"""What a loss that is not finite came from: the samples, the inputs, the likely cause. Looked for only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lerobot.utils.constants import ACTION, OBS_PREFIX
from torch import Tensor, nn

_SHOWN = 5
_LARGE_WEIGHT = 1e4
"""No network of ours has a weight near it; those of images have some tens."""


class NotFiniteError(ValueError):
    """A loss is NaN or infinite; training on would lose the weights."""


def not_finite(
    batch: Mapping[str, Any],
    per_sample: Tensor,
    model: nn.Module,
    *,
    place_of: Callable[[int], str | None] | None,
    names: Mapping[str, Sequence[str]],
    steps: int | None,
) -> NotFiniteError:
    """The error for a batch whose loss is not finite.

    Args:
        batch: normalised, as the policy got it.
        per_sample: (B,) losses.
        model: what was trained.
        place_of: from a sample's `index` to its dataset, episode and frame; None for held-out samples.
        names: dimension names of numeric features, where they are known.
        steps: optimiser steps made so far, where that is known.
    """
    places = _places(batch.get("index"), len(per_sample), place_of)
    inputs = {key: value for key, value in batch.items() if _is_input(key, value)}
    broken = {key: ~torch.isfinite(value).flatten(1).all(1) for key, value in inputs.items()}
    bad_inputs = [key for key, samples in broken.items() if bool(samples.any())]
    of_loss = ~torch.isfinite(per_sample)
    # Batch normalisation carries a number that is not finite to every loss of the batch; the inputs tell whose it was.
    chosen = torch.stack([broken[key] for key in bad_inputs]).any(0) if bad_inputs else of_loss
    which = [places[i] for i in torch.nonzero(chosen.cpu()).flatten().tolist()]
    value = per_sample[of_loss][0].item() if bool(of_loss.any()) else float("nan")
    when = "" if steps is None else f" after {steps} steps"
    more = [f"  and {len(which) - _SHOWN} more"] if len(which) > _SHOWN else []
    listing = "\n".join([*(f"  {place}" for place in which[:_SHOWN]), *more])
    cause = _of_inputs(inputs, bad_inputs, names) if bad_inputs else _of_model(inputs, chosen, model)
    return NotFiniteError(
        f"the loss is {value}{when}, in {len(which)} of {len(places)} samples of a batch:\n{listing}\n{cause}"
    )


def _places(index: Tensor | None, size: int, place_of: Callable[[int], str | None] | None) -> list[str]:
    if index is None:
        return [f"sample {position} of the batch" for position in range(size)]
    if place_of is None:
        return [f"held-out frame with index {i}" for i in index.tolist()]
    return [place_of(i) or f"frame with index {i}" for i in index.tolist()]


def _is_input(key: str, value: Any) -> bool:
    numeric = isinstance(value, Tensor) and value.is_floating_point()
    return numeric and (key == ACTION or key.startswith(OBS_PREFIX)) and not key.endswith("_is_pad")


def _of_inputs(inputs: Mapping[str, Tensor], bad: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for key in bad:
        value = inputs[key]
        if key in names and value.shape[-1] == len(names[key]):
            dims = torch.nonzero(~torch.isfinite(value).flatten(0, -2).all(0)).flatten().tolist()
            parts.append(f"{key} ({', '.join(names[key][d] for d in dims)})")
        else:
            parts.append(key)
    return (
        f"Not finite once normalised: {', '.join(parts)}. Opening the datasets found their numbers finite, so look at "
        "the statistics they are normalised by (meta/stats.json of the target; cameras: "
        "--dataset.use_imagenet_stats=true) and at the images of these frames."
    )


def _of_model(inputs: Mapping[str, Tensor], chosen: Tensor, model: nn.Module) -> str:
    weight = float(torch.stack([weight.detach().abs().max() for weight in model.parameters()]).max())
    # NaN compares false with everything.
    if not weight < _LARGE_WEIGHT:
        return (
            f"The batch is finite, a weight of the network is {weight:.3g}: an earlier step was too large. Lower "
            "--policy.optimizer_lr, and go on from a checkpoint before it."
        )
    key, largest = max(
        ((key, float(value[chosen].abs().max())) for key, value in inputs.items()), key=lambda pair: pair[1]
    )
    return (
        f"The batch and the network's weights are finite; the largest input is {largest:.3g}, in {key}. Inputs far "
        "beyond 1 point to statistics that do not fit these samples (`lerobot-ambient inspect`), otherwise lower "
        "--policy.optimizer_lr, and in float16 set --policy.use_amp=false."
    )
