# SPDX-License-Identifier: Apache-2.0
"""Where blocks of videos that stay on the Hub are kept, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lerobot.utils.constants import HF_LEROBOT_HOME

from lerobot_ambient.data.remote.block_store import BlockStore

BATCHES_AHEAD = 2
"""Batches of each loader process whose blocks are fetched before they are drawn."""


@dataclass(frozen=True)
class StreamOptions:
    """Options of the block cache.

    Args:
        folder: of the blocks; in LeRobot's home folder when None. Any number of datasets and runs share it.
        gigabytes: that the blocks may take, 10^9 bytes each.

    Raises:
        ValueError: a size that is not positive and finite.
    """

    folder: Path | None = None
    gigabytes: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 < self.gigabytes < float("inf"):
            raise ValueError(f"policy.stream_cache_gb must be positive and finite, got {self.gigabytes}.")

    def store(self) -> BlockStore:
        """The block cache.

        Raises:
            ValueError: too small a size.
        """
        folder = HF_LEROBOT_HOME / "lerobot_ambient" / "blocks" if self.folder is None else self.folder
        return BlockStore(folder, int(self.gigabytes * 1e9))
