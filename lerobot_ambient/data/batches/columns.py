# SPDX-License-Identifier: Apache-2.0
"""Low-dimensional columns of all datasets of a mixture as tensors, gathered per batch.

Reading a frame through LeRobotDataset costs milliseconds of Python per sample; the numbers themselves are a
few hundred bytes. Here a batch is one index operation a column, whatever the number of datasets. Without
resampling the results equal LeRobotDataset's: same clamping at episode ends, same padding flags, same dtypes.

Resampling in time
    A chunk offset i means i / fps of the target. In an episode recorded at rate times that fps the chunk reads
    positions  row + i * rate,  between frames linearly, or from the nearest frame for switches. A position
    outside the episode is padding, as an index outside it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lerobot_ambient.data.batches.array_store import ArrayStore
from lerobot_ambient.data.batches.shared_pages import as_tensor

# i * rate of a whole frame may miss it by rounding; a millionth of a frame is nothing.
_SLACK = 1e-6


class Columns:
    """Random access to chunks of low-dimensional columns.

    Args:
        columns: (N, ...) tensors by key, frames of an episode consecutive.
        counters: names of the columns of `counter_table`, given out as int64.
        counter_table: (N, C) int32 or int64, the bookkeeping columns side by side: one look-up for all of them.
        starts, stops: (E,) int64 half-open range of each episode in [0, N), in order.
        deltas: per key, the offsets of its chunk in frames of the target; keys without an entry give the frame itself.
        rates: (E,) float64, the episode's fps over the target's; None when all are 1.
        nearest: per key, (K, ...) bool tables of dimensions read from the nearest frame, one row per kind of episode.
        kinds: (E,) int64, row of `nearest` of each episode.
        store: the memory maps that `columns` and `counter_table` are views of, if any: a worker process that is
            spawned maps them again instead of receiving a copy.
    """

    def __init__(
        self,
        columns: Mapping[str, Tensor],
        starts: Tensor,
        stops: Tensor,
        deltas: Mapping[str, Sequence[int]],
        counters: Sequence[str] = (),
        counter_table: Tensor | None = None,
        rates: Tensor | None = None,
        nearest: Mapping[str, Tensor] | None = None,
        kinds: Tensor | None = None,
        store: ArrayStore | None = None,
    ) -> None:
        self.columns = dict(columns)
        self.starts, self.stops = starts, stops
        self._bounds = torch.stack([starts, stops - 1], dim=1)
        self.counters = list(counters)
        self.counter_table = torch.empty(len(self), 0, dtype=torch.int32) if counter_table is None else counter_table
        self.deltas = {key: tuple(offsets) for key, offsets in deltas.items()}
        # One span serves all keys whose offsets are a stretch of the longest (observations begin as actions do).
        self._longest = max(self.deltas.values(), key=len, default=())
        self._offsets = {offsets: torch.tensor(offsets) for offsets in self.deltas.values()}
        self._part_of_longest = {offsets: _stretch(self._longest, offsets) for offsets in self.deltas.values()}
        self.rates = None if rates is None or bool((rates == 1.0).all()) else rates
        self.nearest = dict(nearest or {})
        self.kinds = torch.zeros(len(starts), dtype=torch.int64) if kinds is None else kinds

        self._store = store

    def __getstate__(self) -> dict[str, Any]:
        if self._store is None:
            return self.__dict__
        return self.__dict__ | {"columns": list(self.columns), "counter_table": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._store is not None:
            self.columns = {key: as_tensor(self._store[key]) for key in state["columns"]}
            (table,) = (array for key, array in self._store.items() if key not in self.columns)
            self.counter_table = as_tensor(table)

    def __len__(self) -> int:
        return int(self.stops[-1])

    def episode_of(self, rows: Tensor) -> Tensor:
        """(B,) which episode each row lies in, counted over all datasets."""
        return torch.searchsorted(self.starts, rows, right=True) - 1

    @property
    def keys(self) -> list[str]:
        return [*self.columns, *self.counters]

    def counter(self, key: str) -> Tensor:
        """(N,) one bookkeeping column."""
        return self.counter_table[:, self.counters.index(key)].long()

    def gather(
        self, rows: Tensor, episode: Tensor | None = None, keys: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """The samples at rows (B,) int64: chunks (B, len(deltas), ...), `<key>_is_pad` (B, len(deltas)) bool.

        Args:
            rows: (B,).
            episode: (B,) of the rows, where the caller knows it.
            keys: columns to read, all and the counters when None.
        """
        episode = self.episode_of(rows) if episode is None else episode
        batch: dict[str, Tensor] = {}
        spans: dict[tuple[int, ...], _Span] = {}
        for key in self.columns if keys is None else keys:
            column, offsets = self.columns[key], self.deltas.get(key)
            if offsets is None:
                batch[key] = take(column, rows)
                continue
            span = self._span_of(offsets, rows, episode, spans)
            batch[key] = self._read(key, column, span, episode)
            batch[f"{key}_is_pad"] = span.is_pad
        if keys is None and self.counters:
            batch.update(zip(self.counters, take(self.counter_table, rows).long().unbind(1), strict=True))
        return batch

    def nearest_rows(self, key: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H) the rows a chunk of whole frames (images) is read from, and (B, H) which are padding."""
        span = self._span(self.deltas[key], rows, self.episode_of(rows))
        return span.nearest, span.is_pad

    def _span_of(
        self, offsets: tuple[int, ...], rows: Tensor, episode: Tensor, spans: dict[tuple[int, ...], _Span]
    ) -> _Span:
        """The span of these offsets, from `spans` where it or the longest is known."""
        if offsets not in spans:
            part = self._part_of_longest[offsets]
            if part is None or offsets == self._longest:
                spans[offsets] = self._span(offsets, rows, episode)
            else:
                spans[offsets] = self._span_of(self._longest, rows, episode, spans)[part]
        return spans[offsets]

    def _span(self, chosen: tuple[int, ...], rows: Tensor, episode: Tensor) -> _Span:
        bounds, offsets = take(self._bounds, episode), self._offsets[chosen]
        first, last = bounds[:, :1], bounds[:, 1:]
        if self.rates is None:
            wanted = rows.unsqueeze(1) + offsets
            index = wanted.clamp(first, last)
            # Clamping moved exactly the positions outside the episode.
            return _Span(index, index != wanted)
        position = rows.unsqueeze(1) + offsets * self.rates[episode].unsqueeze(1)
        is_pad = (position < first - _SLACK) | (position > last + _SLACK)
        position = position.clamp(first.double(), last.double())
        low = torch.floor(position + _SLACK).long()
        high = torch.minimum(low + 1, last)
        return _Span(low, is_pad, high, (position - low).clamp(0.0, 1.0))

    def _read(self, key: str, column: Tensor, span: _Span, episode: Tensor) -> Tensor:
        if span.high is None or span.part is None:
            return take(column, span.low)
        if not column.is_floating_point():
            return column[span.nearest]
        shape = (*span.part.shape, *([1] * (column.ndim - 1)))
        part = span.part.reshape(shape)
        if key in self.nearest:
            switches = self.nearest[key][self.kinds[episode]].unsqueeze(1)
            part = torch.where(switches, (part >= 0.5).double(), part)
        low, high = column[span.low], column[span.high]
        between = (low + part * (high.double() - low.double())).to(column.dtype)
        # A whole frame keeps its bits.
        return torch.where(part == 0.0, low, between)

    def relative_chunks(self, action_key: str, state_key: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Raw action chunks minus the state at the current frame, and which entries are padding.

        Returns:
            (B, H, A) chunks, (B, H) bool.
        """
        batch = self.gather(rows, keys=[action_key])
        state = self.columns[state_key][rows]
        return batch[action_key] - state.unsqueeze(1), batch[f"{action_key}_is_pad"]


def take(column: Tensor, index: Tensor) -> Tensor:
    """column[index] of whole rows, copied. NumPy's take is twice as fast as torch's indexing here."""
    return torch.from_numpy(column.numpy().take(index.numpy(), axis=0))


def _stretch(longest: tuple[int, ...], offsets: tuple[int, ...]) -> slice | None:
    """Where `offsets` lies in `longest` as neighbours, or None."""
    for low in range(len(longest) - len(offsets) + 1):
        if longest[low : low + len(offsets)] == offsets:
            return slice(low, low + len(offsets))
    return None


class _Span:
    """Where a chunk is read: rows `low`, or `part` of the way from `low` to `high`."""

    def __init__(self, low: Tensor, is_pad: Tensor, high: Tensor | None = None, part: Tensor | None = None) -> None:
        self.low, self.is_pad, self.high, self.part = low, is_pad, high, part

    def __getitem__(self, part: slice) -> _Span:
        """The span of neighbouring offsets."""
        wanted = (self.low, self.is_pad, self.high, self.part)
        return _Span(*(each if each is None else each[:, part] for each in wanted))  # type: ignore[arg-type]

    @property
    def nearest(self) -> Tensor:
        if self.high is None or self.part is None:
            return self.low
        return torch.where(self.part >= 0.5, self.high, self.low)
