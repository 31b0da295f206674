# SPDX-License-Identifier: Apache-2.0
"""Low-dimensional columns of a data set as tensors, gathered per batch.

Reading a frame through LeRobotDataset costs milliseconds of Python per sample; the numbers themselves are a
few hundred bytes. Here a column is read once and a batch is one index operation. The results equal
LeRobotDataset's: same clamping at episode ends, same padding flags, same dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor


def tensor_of(column: pa.ChunkedArray, shape: Sequence[int]) -> Tensor:
    """An arrow column as a tensor (N, *shape); scalars (shape (1,)) give (N,), as in LeRobot.

    Floats become float32 and integers int64, which is what LeRobot's item transform makes of them.
    """
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    nested = False
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        nested = True
        array = array.flatten()
    values = array.to_numpy(zero_copy_only=False)
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32, copy=False)
    elif np.issubdtype(values.dtype, np.integer):
        values = values.astype(np.int64, copy=False)
    if nested:
        values = values.reshape(len(column), *shape)
    # Arrow's buffers are read-only; torch needs to own what it may write to.
    return torch.from_numpy(np.array(values) if not values.flags.writeable else values)


class Columns:
    """Random access to chunks of low-dimensional columns.

    Args:
        columns: (N, ...) tensors by key, frames of an episode consecutive.
        starts, stops: (E,) int64 half-open range of each selected episode in [0, N), in order.
        deltas: per key, the frame offsets of its chunk; keys without an entry give the frame itself.
    """

    def __init__(
        self,
        columns: Mapping[str, Tensor],
        starts: Tensor,
        stops: Tensor,
        deltas: Mapping[str, Sequence[int]],
    ) -> None:
        self.columns = dict(columns)
        self.starts, self.stops = starts, stops
        self.deltas = {key: torch.tensor(list(offsets)) for key, offsets in deltas.items() if key in columns}

    def __len__(self) -> int:
        return int(self.stops[-1])

    def gather(self, rows: Tensor) -> dict[str, Tensor]:
        """The samples at rows (B,) int64: chunks (B, len(deltas), ...), `<key>_is_pad` (B, len(deltas)) bool."""
        episode = torch.searchsorted(self.starts, rows, right=True) - 1
        first, last = self.starts[episode].unsqueeze(1), self.stops[episode].unsqueeze(1) - 1
        batch: dict[str, Tensor] = {}
        spans: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        for key, column in self.columns.items():
            if key not in self.deltas:
                batch[key] = column[rows]
                continue
            span = tuple(self.deltas[key].tolist())
            if span not in spans:
                wanted = rows.unsqueeze(1) + self.deltas[key]
                spans[span] = wanted.clamp(first, last), (wanted < first) | (wanted > last)
            index, is_pad = spans[span]
            batch[key] = column[index]
            batch[f"{key}_is_pad"] = is_pad
        return batch

    def relative_chunks(self, action_key: str, state_key: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Raw action chunks minus the state at the current frame, and which entries are padding.

        Returns:
            (B, H, A) chunks, (B, H) bool.
        """
        batch = self.gather(rows)
        state = self.columns[state_key][rows]
        return batch[action_key] - state.unsqueeze(1), batch[f"{action_key}_is_pad"]
