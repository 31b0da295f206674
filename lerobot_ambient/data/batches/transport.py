# SPDX-License-Identifier: Apache-2.0
"""How a gathered batch gets from the dataset to the training loop.

PyTorch sends every tensor of a worker's batch through a file descriptor of its own; for a dozen tensors of a few
kilobytes that costs ten times what making them did. Small ones travel here as one message, and come out as tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

_SMALL = 256 * 1024
"""Bytes up to which a tensor is copied into the message; images stay in shared memory."""


@dataclass
class GatheredBatch:
    """A batch that is already collated; `default_collate` passes it through (see the end of this module)."""

    batch: dict[str, Any]


class _Packed(dict[str, Any]):
    """A batch on its way out of a worker."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        places: list[tuple[str, torch.dtype, tuple[int, ...], int, int]] = []
        message = bytearray()
        rest: dict[str, Any] = {}
        for key, value in self.items():
            if not isinstance(value, Tensor) or value.nbytes > _SMALL:
                rest[key] = value
                continue
            places.append((key, value.dtype, tuple(value.shape), len(message), value.nbytes))
            message += value.contiguous().numpy().tobytes()
            # Tensors begin at multiples of eight bytes.
            message += bytes(-len(message) % 8)
        return _unpack, (list(self), bytes(message), places, rest)


def _unpack(
    keys: list[str],
    message: bytes,
    places: list[tuple[str, torch.dtype, tuple[int, ...], int, int]],
    rest: dict[str, Any],
) -> dict[str, Any]:
    """A plain dictionary again, in the old order."""
    whole = torch.frombuffer(bytearray(message), dtype=torch.uint8) if message else torch.empty(0, dtype=torch.uint8)
    batch = rest | {key: whole[at : at + size].view(dtype).view(shape) for key, dtype, shape, at, size in places}
    return {key: batch[key] for key in keys}


def _collate(batch: list[GatheredBatch], *, collate_fn_map: Any = None) -> dict[str, Any]:
    (gathered,) = batch
    if get_worker_info() is None:
        return gathered.batch
    info = {name: _Packed(value) if isinstance(value, dict) else value for name, value in gathered.batch.items()}
    return _Packed(info)


# PyTorch's documented way to teach default_collate a type; LeRobot's training leaves collate_fn at the default.
default_collate_fn_map[GatheredBatch] = _collate
