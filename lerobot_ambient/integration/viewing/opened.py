# SPDX-License-Identifier: Apache-2.0
"""The mixture of a training configuration opened to be looked at: its rollouts beside it, and of large datasets a part.

Windows are not asked for: a source that has none yet is what one wants to look at.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import draccus
import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.mixing import Cotrain, MixingRule
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.reading.open_dataset import open_metadata, wanted_episodes
from lerobot_ambient.data.suggest.by_catalogue import suggest_known
from lerobot_ambient.data.suggest.suggest import facts_of
from lerobot_ambient.integration.training.configured_mixture import (
    chosen_target,
    read_options,
    recipe_of,
    target_config,
    without_windows,
)
from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)

_RUNS = 8
"""Stretches of neighbouring episodes that a part consists of: neighbours share a file, so that few files are read."""
_RECORDINGS = 24
"""Datasets of a folder of rollouts."""
_PARTS = re.compile(r"(\d+)")
_ALONE = 8
"""Datasets up to which each may be looked at as far as one would."""


@dataclass(frozen=True)
class Bounds:
    """How much of each dataset is looked at.

    Args:
        episodes: at most, of each dataset.
        frames: at most, of each dataset, except that one episode is always read whole.
    """

    episodes: int = 200
    frames: int = 200_000

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"--episodes must be at least 1, got {self.episodes}.")

    def among(self, datasets: int) -> Bounds:
        """The bounds of each of so many datasets: more than eight share what eight may take."""
        part = _ALONE / max(datasets, _ALONE)
        return Bounds(max(1, int(self.episodes * part)), max(1, int(self.frames * part)))


@dataclass
class Chosen:
    """Picks the episodes of each dataset, and remembers how many there are.

    Attributes:
        totals: by the dataset's name, (episodes, frames) that the configuration selects.
    """

    bounds: Bounds
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __call__(self, config: Source, name: str) -> Source:
        """The dataset with the episodes that are looked at; unchanged where these are all."""
        meta = open_metadata(config, name)
        table = EpisodeTable(meta)
        wanted = np.array(wanted_episodes(config, meta, name), dtype=np.int64)
        rows = table.rows(wanted)
        lengths = np.where(rows >= 0, table.length[np.maximum(rows, 0)], 0)
        self.totals[name] = (len(wanted), int(lengths.sum()))
        some = spread_part(lengths, self.bounds)
        if len(some) == len(wanted):
            return config
        # What info.json promises and the table does not hold could not be read.
        return replace(config, episodes=wanted[some[rows[some] >= 0]].tolist())


def spread_part(lengths: NDArray[np.int64], bounds: Bounds) -> NDArray[np.int64]:
    """Ascending positions of the episodes that are looked at: all, or stretches of neighbours spread over them.

    Args:
        lengths: (E,) frames of each episode, E at least 1.
        bounds: see there.
    """
    count = len(lengths)
    if count <= bounds.episodes and int(lengths.sum()) <= bounds.frames:
        return np.arange(count)
    usual = max(1.0, float(np.median(lengths)))
    most = int(np.clip(min(bounds.episodes, bounds.frames // usual), 1, count))
    runs = min(_RUNS, most)
    run = np.arange(most) * runs // most
    # What is left out lies between the stretches, as much after each.
    picked = np.arange(most) + run * (count - most) // runs
    # Some are longer than the median says: whole stretches from the end go before the bound is passed.
    fits = np.cumsum(lengths[picked]) <= bounds.frames
    fits[0] = True
    return picked[fits]


@dataclass(frozen=True, eq=False)
class Opened:
    """A mixture to be looked at.

    Attributes:
        mixture: the target first, then what a merged target brings, the sources, and the rollouts; without windows.
        declared: what each dataset was declared as, windows included; None for those that a merged target brings.
        rollouts: how many of the last are rollouts.
        mixing: the configuration's, not that of `mixture`, which draws everything.
        totals: by the dataset's name, (episodes, frames) that there are.
        policy_type: of the configuration.
    """

    mixture: AssembledMixture
    declared: Sequence[Source | None]
    rollouts: int
    mixing: MixingRule
    totals: dict[str, tuple[int, int]]
    policy_type: str


def open_to_view(cfg: TrainConfig, rollouts: Sequence[Source] = (), bounds: Bounds | None = None) -> Opened:
    """Open the target, the sources and rollouts.

    Args:
        cfg: a training configuration; it is not changed.
        rollouts: further datasets, recorded with a policy; they are brought to the target as `init` proposes.
        bounds: of each dataset; the usual ones when None.

    Raises:
        ValueError: anything that keeps them from being one mixture.
    """
    target = chosen_target(cfg)
    fitted = [_fitted(cfg, rollout, "recording of rollouts") for rollout in rollouts]
    declared = [*cfg.policy.sources, *fitted]
    # Recordings of rollouts are many and small; together they count as one.
    chosen = Chosen((bounds or Bounds()).among(1 + len(cfg.policy.sources) + bool(fitted)))
    mixture = make_mixture(
        target,
        without_windows(declared),
        replace(read_options(cfg), frame_cache=None),
        # Everything may be drawn, so that nothing is refused for want of a window.
        replace(recipe_of(cfg.policy), mixing=Cotrain(), max_amplification=None),
        choose=chosen,
    )
    brought = len(mixture.sources) - 1 - len(declared)
    return Opened(
        mixture=mixture,
        declared=[target, *[None] * brought, *declared],
        rollouts=len(fitted),
        mixing=cfg.policy.mixing,
        totals=chosen.totals,
        policy_type=cfg.policy.type,
    )


def rollout_sources(name: str, root: str | None) -> list[Source]:
    """A recording of rollouts as a dataset, by the name of its folder where only that is given.

    `lerobot-eval` records a dataset for each of its environments: of a folder of such the first 24 are taken.

    Raises:
        ValueError: a folder without a dataset.
    """
    if root is not None:
        return [Source(repo_id=name, root=root)]
    folder = Path(name)
    if not folder.is_dir():
        return [Source(repo_id=name)]
    if (folder / "meta" / "info.json").is_file():
        return [Source(repo_id=folder.resolve().name, root=name)]
    found = [info.parents[1] for pattern in ("*", "*/*") for info in folder.glob(f"{pattern}/meta/info.json")]
    if not found:
        raise ValueError(
            f"--rollout={name}: there is no LeRobot dataset in the folder, no meta/info.json. Rollouts are recorded by "
            "lerobot-rollout --dataset.root=FOLDER, lerobot-record, or lerobot-eval --eval.recording=true."
        )
    ordered = sorted(found, key=lambda one: [int(part) if part.isdigit() else part for part in _PARTS.split(str(one))])
    if len(ordered) > _RECORDINGS:
        logger.warning("%s holds %d recordings; the first %d are shown.", name, len(ordered), _RECORDINGS)
    return [Source(repo_id=one.relative_to(folder).as_posix(), root=str(one)) for one in ordered[:_RECORDINGS]]


def align_as_proposed(cfg: TrainConfig) -> None:
    """Give the sources of a configuration the alignment that `init` would propose, in place.

    Raises:
        ValueError: a source that no proposal brings to the target.
    """
    cfg.policy.sources = [_fitted(cfg, source, "source") for source in cfg.policy.sources]


def _fitted(cfg: TrainConfig, source: Source, what: str) -> Source:
    if cfg.policy.target_end_effector is not None:
        # Proposals are of joints; what says how the target's poses are found says it of the same robot's rollouts.
        return source if source.end_effector else replace(source, end_effector=cfg.policy.target_end_effector)
    target = target_config(cfg)
    suggestion = suggest_known(facts_of(target), source)
    if suggestion.problems:
        raise ValueError(
            f"the {what} '{source.repo_id}' does not fit the target '{target.repo_id}': "
            f"{'; '.join(suggestion.problems)}. Declare the alignment that it needs in a configuration, see "
            "`lerobot-ambient inspect --suggest`, and look at that with --config_path."
        )
    fitted: Source = draccus.decode(Source, dict(suggestion.config))
    return fitted
