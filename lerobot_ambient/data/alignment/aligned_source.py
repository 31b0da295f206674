# SPDX-License-Identifier: Apache-2.0
"""A dataset in the target's language: what alignment makes of one that was opened, and never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lerobot_ambient.data.alignment.feature_map import FeatureMap
from lerobot_ambient.data.reading.open_dataset import OpenedDataset


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AlignedSource(OpenedDataset):
    """A dataset whose features are the target's and whose numbers are in the target's units; the target is one too.

    Each step of alignment returns another one (`dataclasses.replace`).

    Attributes:
        maps: how each numeric policy feature was made.
        notes: what alignment did that its user should see.
        measured: what was measured of its actions, once; a copy with other columns begins anew.
    """

    maps: Mapping[str, FeatureMap]
    notes: tuple[str, ...] = ()
    measured: dict[str, Any] = field(default_factory=dict, init=False)

    @classmethod
    def of(
        cls,
        opened: OpenedDataset,
        maps: Mapping[str, FeatureMap],
        features: dict[str, dict[str, Any]] | None = None,
        columns: dict[str, Any] | None = None,
    ) -> AlignedSource:
        """An opened dataset with these maps, and its features and columns as they made them (unchanged when None)."""
        own = {one.name: getattr(opened, one.name) for one in fields(OpenedDataset)}
        made = {"features": features, "columns": columns}
        return cls(**own | {name: value for name, value in made.items() if value is not None}, maps=maps)
