# SPDX-License-Identifier: Apache-2.0
"""Which episodes of a dataset a checkpoint was trained on, as its train_config.json and its record tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.checked_metadata import CheckedMetadata
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.windows.merged_file import merged_file_of
from lerobot_ambient.integration.training.configured_mixture import split_episodes


@dataclass(frozen=True)
class Use:
    """How a training used a dataset: its target, or a source.

    Args:
        role: "target" or "source".
        repo_id, root, episodes, excluded: as declared.
        eval_split: the share of each task's episodes that was held out.
        frames: that were trained on; None where it is not told.
    """

    role: str
    repo_id: str
    root: str | None
    episodes: Sequence[int] | None
    eval_split: float = 0.0
    frames: int | None = None
    excluded: Sequence[int] = ()

    def is_of(self, repo_id: str, root: str | None) -> bool:
        """Whether it may be the dataset of this name or in this folder."""
        return self.repo_id == repo_id or self._is_in(root)

    def _is_in(self, root: str | None) -> bool:
        return None not in (root, self.root) and Path(str(root)).resolve() == Path(str(self.root)).resolve()

    def split(self, meta: CheckedMetadata) -> tuple[list[int], list[int]]:
        """The episodes of that dataset that were trained on, and those that were held out."""
        known = sorted(EpisodeTable(meta).number.tolist())
        chosen = known if self.episodes is None else sorted(set(self.episodes) & set(known))
        chosen = [one for one in chosen if one not in self.excluded]
        merged = merged_file_of(meta)
        # Of a dataset that `merge` wrote, target and sources in one, only the target's episodes are held out.
        target = chosen if merged is None else merged.expand(Source(self.repo_id, episodes=chosen))[0].episodes
        trained, held_out = split_episodes(meta, target or [], self.eval_split)
        return sorted({*trained, *(set(chosen) - set(target or []))}), held_out

    def trained(self, meta: CheckedMetadata, root: str | None) -> list[int]:
        """The episodes of the dataset that were trained on; none where it is another recording of the same name."""
        trained, _ = self.split(meta)
        if self._is_in(root) or self.frames is None:
            return trained
        table = EpisodeTable(meta)
        return trained if int(table.length[table.rows(np.array(trained, np.int64))].sum()) == self.frames else []


def uses_of(training: Mapping[str, Any] | None) -> list[Use]:
    """What a train_config.json says of its datasets, the target first; nothing without one."""
    if training is None or not training.get("dataset"):
        return []
    dataset, policy = training["dataset"], training.get("policy") or {}
    record = list(policy.get("mixture_record") or [])
    sources = list(policy.get("sources") or [])
    frames = [one.get("frames") for one in record] if len(record) == 1 + len(sources) else [None] * (1 + len(sources))
    target = Use(
        "target",
        str(dataset["repo_id"]),
        dataset.get("root"),
        dataset.get("episodes"),
        float(dataset.get("eval_split") or 0.0),
        frames[0],
        dataset.get("exclude_episodes") or (),
    )
    return [
        target,
        *(
            # What a source held out is not told by numbers of episodes, so all of it counts as seen.
            Use(
                "source",
                str(one["repo_id"]),
                one.get("root"),
                one.get("episodes"),
                frames=None if one.get("holdout") else number,
            )
            for one, number in zip(sources, frames[1:], strict=True)
        ),
    ]


def overlap(
    uses: Sequence[Use], repo_id: str, root: str | None, meta: CheckedMetadata, judged: Collection[int]
) -> list[int]:
    """The judged episodes that a training with these uses has seen, in order."""
    seen: set[int] = set()
    for use in uses:
        if use.is_of(repo_id, root):
            seen |= set(use.trained(meta, root))
    return sorted(seen & set(judged))
