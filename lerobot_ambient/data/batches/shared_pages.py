# SPDX-License-Identifier: Apache-2.0
"""Large arrays moved to a memory-mapped file, so that all processes of a machine share one copy of the pages.

Loader workers that are forked share their parent's memory anyway. The processes of `accelerate launch` do not: each
reads the datasets for itself. Above a threshold the arrays are therefore written once, under a name made from their
content, and every process maps the same file; the kernel keeps of it what is in use.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import HF_LEROBOT_HOME
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.data.batches.array_store import ArrayStore, store_arrays

logger = logging.getLogger(__name__)

SHARED_ABOVE = 512 * 2**20
"""Bytes above which arrays are shared; below it a copy in each process costs less than the file."""

SHARED_FOLDER = HF_LEROBOT_HOME / "lerobot_ambient" / "pages"


def share(
    arrays: Mapping[str, NDArray[Any]], above: int | None = None, folder: Path | None = None
) -> ArrayStore | None:
    """The arrays as memory maps; None where they are small, or where they cannot be written, which is logged.

    Args:
        arrays: by name.
        above: bytes of all of them from which they are worth a file; SHARED_ABOVE when None.
        folder: where the files lie; SHARED_FOLDER when None. They are never changed and may be deleted at any time.
    """
    if sum(array.nbytes for array in arrays.values()) <= (SHARED_ABOVE if above is None else above):
        return None
    place = (SHARED_FOLDER if folder is None else folder) / _digest(arrays)
    try:
        return store_arrays(place, arrays)
    except OSError as error:
        logger.warning("columns stay in the memory of each process, they cannot be shared in %s: %s", place, error)
        return None


def as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over an array's memory; nobody writes to it, so a read-only map will do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
