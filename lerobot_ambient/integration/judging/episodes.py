# SPDX-License-Identifier: Apache-2.0
"""The episodes that checkpoints are judged on: none that was trained on, and read as each policy reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import draccus
import numpy as np
import torch
from lerobot.utils.constants import ACTION
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.dimension_names import dimension_names, is_numbered
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions, open_metadata, wanted_episodes
from lerobot_ambient.integration.judging.checkpoint import Checkpoint
from lerobot_ambient.integration.judging.seen import overlap, uses_of
from lerobot_ambient.integration.training.configured_mixture import first_cause
from lerobot_ambient.integration.training.step import scaled_pictures


@dataclass
class _Dataset:
    repo_id: str | None = None
    root: str | None = None
    revision: str | None = None
    episodes: list[int] | None = None
    video_backend: str | None = None


@dataclass
class JudgedWords:
    """LeRobot's own words for a dataset, of which `check` takes these; what is not said is the checkpoints' target."""

    dataset: _Dataset = field(default_factory=_Dataset)

    @classmethod
    def read(cls, words: Sequence[str]) -> JudgedWords:
        """From `--dataset.repo_id=...` and the like.

        Raises:
            ValueError: another option, or a value that does not fit.
        """
        try:
            read: JudgedWords = draccus.parse(cls, args=list(words))
        except draccus.utils.DraccusException as error:
            raise ValueError(first_cause(error)) from error
        return read


@dataclass(frozen=True)
class JudgedEpisodes:
    """What is judged on.

    Args:
        source: the dataset, with its episodes by number.
        seen: by checkpoint the episodes among them that it was trained on; empty where there are none.
        untold: checkpoints that do not tell what they were trained on.
        video_backend: LeRobot's decoder.
    """

    source: Source
    seen: dict[str, list[int]]
    untold: tuple[str, ...]
    video_backend: str | None = None

    @property
    def numbers(self) -> list[int]:
        assert self.source.episodes is not None
        return self.source.episodes

    @property
    def warnings(self) -> list[str]:
        """What takes from the worth of the judgement."""
        found = [
            f"{name} WAS TRAINED on {len(seen)} of these {len(self.numbers)} episodes: what it has memorised counts as "
            "skill. This is no judgement of how it does on new ones."
            for name, seen in self.seen.items()
        ]
        if self.untold:
            found.append(
                f"{', '.join(self.untold)}: no train_config.json tells what it was trained on, so whether it has seen "
                "these episodes is not known."
            )
        return found


def choose_episodes(
    checkpoints: Sequence[Checkpoint], words: JudgedWords, *, allow_seen: bool = False
) -> JudgedEpisodes:
    """The episodes to judge on: those that were asked for, else all that no checkpoint was trained on.

    Args:
        checkpoints: at least one.
        words: the dataset; by default the target of the first checkpoint.
        allow_seen: go on with episodes that were trained on.

    Raises:
        ValueError: no dataset is named and no checkpoint names one, or episodes that were trained on.
    """
    asked = words.dataset
    source = _declared(checkpoints, asked)
    meta = open_metadata(source, source.repo_id)
    every = sorted(EpisodeTable(meta).number.tolist())
    judged = (
        every
        if asked.episodes is None
        else wanted_episodes(replace(source, episodes=asked.episodes), meta, source.repo_id)
    )
    uses = {one.name: uses_of(one.training) for one in checkpoints}
    root = str(meta.root)
    seen = {name: overlap(some, source.repo_id, root, meta, every) for name, some in uses.items()}
    ever = set().union(*seen.values())
    unseen = [one for one in every if one not in ever]
    if asked.episodes is None and unseen:
        judged = unseen
    met = {name: sorted(set(some) & set(judged)) for name, some in seen.items() if set(some) & set(judged)}
    if met and not allow_seen:
        raise ValueError(_refusal(source.repo_id, met, judged, unseen))
    untold = tuple(name for name, some in uses.items() if not some)
    return JudgedEpisodes(replace(source, episodes=judged), met, untold, asked.video_backend)


def _declared(checkpoints: Sequence[Checkpoint], asked: _Dataset) -> Source:
    first = checkpoints[0]
    uses = uses_of(first.training)
    if asked.repo_id is None and asked.root is None and not uses:
        raise ValueError(
            f"{first.path} does not tell its dataset (it has no train_config.json); name one, "
            "--dataset.repo_id=me/fresh, with --dataset.root=FOLDER where it lies on this machine."
        )
    own = asked.repo_id is None and asked.root is None
    repo_id = asked.repo_id or (uses[0].repo_id if own else str(asked.root))
    root = asked.root
    if uses and root is None and repo_id == uses[0].repo_id:
        root = _located(uses[0].root, first.path)
    return Source(repo_id=repo_id, root=root, revision=asked.revision)


def _as_trained(source: Source, config: Any) -> Source:
    """The dataset under the keys and names that a policy's training gave its target."""
    return replace(
        source,
        rename=dict(getattr(config, "target_rename", {})),
        dimension_names=dict(getattr(config, "target_dimension_names", {})),
        action_gain=getattr(config, "target_action_gain", None),
        end_effector=getattr(config, "target_end_effector", None),
    )


def _located(root: str | None, checkpoint: str) -> str | None:
    """A relative root is meant from where the training was begun, which is above its checkpoint."""
    if root is None or Path(root).is_absolute() or Path(root).is_dir():
        return root
    above = [folder / root for folder in Path(checkpoint).resolve().parents if (folder / root).is_dir()]
    return str(above[0]) if above else root


def _refusal(name: str, met: dict[str, list[int]], judged: Sequence[int], unseen: Sequence[int]) -> str:
    who = "; ".join(f"{one} on {len(some)} of these {len(judged)}" for one, some in met.items())
    lines = [f"'{name}': these episodes were trained on ({who}), so a policy that memorised them would win."]
    if unseen:
        lines.append(f"No checkpoint has seen --dataset.episodes='{list(unseen)}'.")
    else:
        lines.append(
            "Every episode of it was trained on. Record a few more and name them, --dataset.repo_id=me/fresh, or train "
            "with --dataset.eval_split=0.2, which keeps a fifth of the episodes for this."
        )
    lines.append("--allow-seen judges on them all the same, and says so everywhere.")
    return " ".join(lines)


@dataclass(frozen=True, eq=False)
class Episodes:
    """The judged episodes as one policy reads them.

    Args:
        mixture: the dataset alone, with chunks and histories as the policy wants them.
        actions: (N, A) float64 of all frames, in the target's units.
        spans: (E, 2) int64 half-open range of each episode's frames, in the order of `numbers`.
        numbers: (E,) the episodes.
        axes: names of the action's dimensions, and the frames a second.
    """

    mixture: AssembledMixture
    actions: NDArray[np.float64]
    spans: NDArray[np.int64]
    numbers: tuple[int, ...]
    axes: ActionAxes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(E,) frames of each episode."""
        return self.spans[:, 1] - self.spans[:, 0]

    @property
    def scale(self) -> NDArray[np.float64]:
        """(A,) standard deviation of each action dimension over these episodes; 1 where it never changes."""
        deviation = self.actions.std(0)
        return np.where(deviation > 0.0, deviation, 1.0)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """A collated batch as LeRobot's loop hands it to the preprocessor: pictures as float in [0, 1]."""
        return scaled_pictures(self.mixture.dataset.gather(rows.tolist()), self.mixture.dataset.camera_keys)


def open_episodes(checkpoint: Checkpoint, judged: JudgedEpisodes) -> Episodes:
    """Read the episodes as this checkpoint's policy does.

    Raises:
        ValueError: the dataset lacks what the policy sees, or has other actions.
    """
    config = checkpoint.config
    options = ReadOptions(
        observation_deltas=config.observation_delta_indices,
        action_deltas=checkpoint.action_deltas,
        video_backend=judged.video_backend,
    )
    modes = getattr(config, "normalization_mapping", {})
    mode = {kind: getattr(modes.get(kind), "value", "MEAN_STD") for kind in ("ACTION", "STATE")}
    # Neither levels nor mixing matter here: there is one dataset, and no plan is followed.
    levels = NoiseSchedule(torch.linspace(0.01, 1.0, 100, dtype=torch.float64))
    recipe = MixtureRecipe(
        levels, Cotrain(), mode["ACTION"], mode["STATE"], getattr(config, "target_action_type", None)
    )
    mixture = make_mixture(_as_trained(judged.source, config), [], options, recipe, held_out=True)
    _require_fit(checkpoint, mixture)
    target, columns = mixture.sources[0], mixture.dataset.columns
    names = tuple(dimension_names(target.features[ACTION]))
    return Episodes(
        mixture,
        columns.columns[ACTION].numpy().astype(np.float64),
        torch.stack([columns.starts, columns.stops], dim=1).numpy(),
        tuple(int(one) for one in target.episode_ids),
        ActionAxes(() if is_numbered(names) else names, float(target.fps), "policy.horizon"),
    )


def _require_fit(checkpoint: Checkpoint, mixture: AssembledMixture) -> None:
    config, name = checkpoint.config, mixture.sources[0].name
    features = mixture.sources[0].features
    # LeRobot's rename_map stands in the preprocessor, so the policy knows keys by other names than the dataset.
    renamed = dict((checkpoint.training or {}).get("rename_map") or {})
    there = {renamed.get(key, key) for key in mixture.dataset.keys}
    lacking = [key for key in config.input_features or {} if key not in there]
    cameras = set(config.image_features)
    # A policy that can do without a camera is asked with those that there are.
    can_do = not getattr(config, "needs_every_camera", True) and set(lacking) < cameras
    if lacking and not can_do:
        raise ValueError(
            f"'{name}' lacks {', '.join(lacking)}, which the policy of {checkpoint.path} sees; it has "
            f"{', '.join(sorted(mixture.dataset.keys))}. Judge it on a dataset of its own robot and cameras."
        )
    for key, feature in [*(config.input_features or {}).items(), *(config.output_features or {}).items()]:
        shape = tuple(features[key]["shape"]) if key in features else None
        if shape is not None and len(feature.shape) == 1 and shape != tuple(feature.shape):
            raise ValueError(
                f"'{name}': {key} has shape {shape}, and the policy of {checkpoint.path} was trained on "
                f"{tuple(feature.shape)}."
            )
    trained = (getattr(config, "feature_names", None) or {}).get(ACTION)
    names = dimension_names(features[ACTION])
    if trained and not is_numbered(names) and not is_numbered(tuple(trained)) and list(trained) != list(names):
        raise ValueError(
            f"'{name}': the actions are {', '.join(names)}, and the policy of {checkpoint.path} was trained on "
            f"{', '.join(trained)}."
        )


def evenly(count: int, room: int) -> NDArray[np.int64]:
    """At most `count` places in [0, room), evenly spaced and in order, the ends among them where there are two."""
    if count >= room:
        return np.arange(room, dtype=np.int64)
    return np.unique(np.linspace(0, room - 1, count).round().astype(np.int64))
