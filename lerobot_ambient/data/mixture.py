# SPDX-License-Identifier: Apache-2.0
"""A mixture: opened data sets, their groups, the plan, and the sampler that follows it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor

from lerobot_ambient.core.mixing import MixingRule
from lerobot_ambient.core.plan import Group, Plan, make_plan, require_plan_fits
from lerobot_ambient.core.target_share import crowded_out
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.align import align, identity_maps, left_out_keys
from lerobot_ambient.data.assemble import merge_columns, merged_tasks
from lerobot_ambient.data.assemble_cameras import camera_readers
from lerobot_ambient.data.camera_frames import untrainable_cameras
from lerobot_ambient.data.camera_statistics import camera_stats
from lerobot_ambient.data.cameras import AbsentReader
from lerobot_ambient.data.columns import Columns
from lerobot_ambient.data.dimension_names import read_names
from lerobot_ambient.data.fingerprint import describe_recipe, describe_source
from lerobot_ambient.data.foreign_units import foreign_units
from lerobot_ambient.data.grouping import WindowGroups, split_windows
from lerobot_ambient.data.merge import FrameTags, MergedDataset
from lerobot_ambient.data.merged_file import merged_file_of
from lerobot_ambient.data.metadata import MixtureMetadata
from lerobot_ambient.data.normalization import ActionNormalization, affine_of
from lerobot_ambient.data.open_source import OpenSource, ReadOptions, open_metadata, open_source
from lerobot_ambient.data.own_normalization import own_normalized
from lerobot_ambient.data.recipe import MixtureRecipe
from lerobot_ambient.data.sampler import FrameIndex, GroupedFrames, MixtureSampler
from lerobot_ambient.data.shared_pages import share
from lerobot_ambient.data.source_windows import windows_of
from lerobot_ambient.data.sources import SourceConfig
from lerobot_ambient.data.statistics import merged_stats, target_stats
from lerobot_ambient.data.target_keys import require_policy_keys

logger = logging.getLogger(__name__)

RELATIVE_ACTION = f"{ACTION}.relative"


@dataclass
class Mixture:
    """The assembled mixture.

    Attributes:
        sources: the target first.
        groups: the plan's rows, with the windows as declared.
        plan: joint law of (group, timestep).
        mixing: the rule that filled it.
        frames: which positions of `dataset` each group holds.
        dataset: the merged data set.
        meta: its face towards LeRobot.
        normalizations: per data set, what its noise levels are relative to: the target's, or its own.
        kept: per data set, half-open runs (starts, stops) of its frames that may start a sample.
        fingerprint: one line per data set and one for the recipe; equal lines mean the same mixture.
    """

    sources: list[OpenSource]
    groups: tuple[Group, ...]
    plan: Plan
    mixing: MixingRule
    frames: GroupedFrames
    dataset: MergedDataset
    meta: MixtureMetadata
    normalizations: list[ActionNormalization]
    kept: list[tuple[np.ndarray, np.ndarray]]
    fingerprint: list[str]

    def sampler(self, seed: int) -> MixtureSampler:
        return MixtureSampler(self.frames, self.plan.group_law.numpy(), seed=seed)

    def sample_rows(self, index: int) -> np.ndarray:
        """(n,) int64 frames of a data set that may start a sample, counted within it."""
        return np.concatenate([np.arange(start, stop) for start, stop in zip(*self.kept[index], strict=True)])

    def place_of(self, index: int) -> str | None:
        """What a batch's `index` is called: data set, episode, frame; None for a frame outside the mixture."""
        columns = self.dataset.columns
        rows = np.flatnonzero(columns.counter("index").numpy() == index)
        if not len(rows):
            return None
        number = int(np.searchsorted(self.dataset.offsets, rows[0], side="right")) - 1
        source, row = self.sources[number], int(rows[0] - self.dataset.offsets[number])
        episode, frame = (int(source.columns[key][row]) for key in ("episode_index", "frame_index"))
        return f"'{source.name}' episode {episode}, frame {frame}"

    @property
    def normalization(self) -> ActionNormalization:
        """What the noise levels of the target, and of sources that share its statistics, are relative to."""
        return self.normalizations[0]

    @property
    def warnings(self) -> list[str]:
        """What its user should know before training on it; empty where there is nothing."""
        names = [source.name for source in self.sources]
        crowded = crowded_out(self.plan.shares_by_source(), self.plan.schedule.sigmas, names, self.mixing)
        return [*self.matched_by_place, *([] if crowded is None else [crowded])]

    @property
    def notes(self) -> list[str]:
        """What was done to fit the data sets to each other and is worth a look."""
        return [f"'{source.name}': {note}" for source in self.sources for note in source.notes]

    @property
    def matched_by_place(self) -> list[str]:
        """What was matched by place for want of names, data sets of the target's own file aside."""
        target = self.sources[0]
        return [
            f"'{source.name}': {key}: {feature.remark}."
            for source in self.sources
            if source is target or Path(source.meta.root) != Path(target.meta.root)
            for key, feature in source.maps.items()
            if feature.remark is not None and key in self.dataset.keys
        ]

    @property
    def action_mask(self) -> Tensor | None:
        """(S, A) bool, False for action dimensions that a data set lacks and that carry no loss; None without any."""
        masked = np.stack([source.maps[ACTION].masked for source in self.sources])
        return torch.from_numpy(~masked) if masked.any() else None

    @property
    def absent_cameras(self) -> dict[str, Tensor] | None:
        """Per camera (S,) bool, True for data sets that lack it; None when no data set lacks any."""
        fills = {
            key: torch.tensor([isinstance(readers[key], AbsentReader) for readers in self.dataset.cameras])
            for key in self.dataset.camera_keys
        }
        return fills if any(bool(absent.any()) for absent in fills.values()) else None

    def __str__(self) -> str:
        """What a training log says: the rule, and a line a data set with what identifies it and what is drawn of it."""
        law = self.plan.by_source().sum(1).tolist()
        lines = [f"mixture of {len(self.sources)} datasets over {self.plan.schedule}; {self.mixing}"]
        for index, (line, drawn) in enumerate(zip(self.fingerprint, law, strict=False)):
            samples = sum(group.count for group in self.groups if group.source == index)
            lines.append(f"  {line}; {samples} samples, {100 * drawn:.1f} % of the draws")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return "\n".join(["Mixture", *(f"  {line}" for line in self.fingerprint), repr(self.plan)])


def make_mixture(
    target: SourceConfig,
    sources: Sequence[SourceConfig],
    options: ReadOptions,
    recipe: MixtureRecipe,
    *,
    held_out: bool = False,
) -> Mixture:
    """Open, check and assemble. A merged data set as the target brings its sources with it.

    Args:
        target, sources: as declared.
        options: how data sets are read.
        recipe: everything else.
        held_out: leave out the sources of a merged data set.

    Raises:
        ValueError: anything that keeps the mixture from being what was asked for; the message names the data
            set, both values and the fix.
    """
    names = _unique_names([target, *sources])
    merged = merged_file_of(open_metadata(target, target.repo_id))
    tagged: list[SourceConfig] = []
    action_type = recipe.target_action_type
    if merged is not None:
        target, *tagged = merged.expand(target)[: 1 if held_out else None]
        sources = [*tagged, *sources]
        names = [*merged.names[: 1 + len(tagged)], *names[1:]]
        action_type = merged.action_type
    opened = [open_source(target, names[0], is_target=True)]
    require_policy_keys(names[0], opened[0].features, target.rename)
    opened[0].maps = identity_maps(opened[0])
    for config, name in zip(sources, names[1:], strict=True):
        source = open_source(config, name, cameras=opened[0].camera_keys)
        _require_apart(opened[0], source)
        opened.append(align(opened[0], source, action_type))
        for line in foreign_units(opened[0], opened[-1]):
            logger.warning("%s", line)
    for key in left_out_keys(opened):
        logger.info("feature %s is not in every data set and is left out of the mixture.", key)

    if merged is None:
        stats, notes = target_stats(opened)
    else:
        stats, notes = merged_stats(merged.stats, opened[0], opened[1 + len(tagged) :])
    for note in notes:
        logger.warning("normalisation of the mixture: %s", note)
    own = [own_normalized(source, stats, recipe) if index else None for index, source in enumerate(opened)]
    tasks = merged_tasks(opened)
    columns = merge_columns(opened, options, tasks)
    kept = [_kept_runs(source, recipe.drop_n_last_frames, source.fps / opened[0].fps) for source in opened]
    if recipe.relative_actions:
        stats[RELATIVE_ACTION] = relative_action_stats(opened[0], columns, kept[0])
    normalization = _normalization(stats, recipe, len(options.action_deltas))
    normalizations = [_of_source(normalization, its_own) for its_own in own]

    groups: list[Group] = []
    parts: list[FrameIndex | tuple[np.ndarray, np.ndarray]] = []
    group_of_frame: list[int | FrameTags] = []
    offset = 0
    for index, source in enumerate(opened):
        windows = windows_of(source, index, recipe.mixing, normalizations[index])
        starts, stops = kept[index]
        if isinstance(windows, Window):
            group_of_frame.append(len(groups))
            groups.append(Group(index, source.name, int((stops - starts).sum()), windows, source.config.weight))
            parts.append((starts + offset, stops + offset))
        else:
            made = split_windows(*windows, starts, stops, recipe.schedule)
            if (shared := share(made.arrays())) is not None:
                made = WindowGroups(**shared)
            require_plan_fits(len(groups) + len(made), recipe.schedule)
            group_of_frame.append(FrameTags(made.group_of_frame, made.no_group, len(groups)))
            groups.extend(
                Group(index, source.name, count, window, source.config.weight)
                for count, window in zip(made.counts.tolist(), made.windows, strict=True)
            )
            parts.append(FrameIndex(made.order, made.counts, offset))
        offset += len(source)

    plan = make_plan([_buffered(group, recipe) for group in groups], recipe.schedule, recipe.mixing)
    for source, law in list(zip(opened, plan.by_source().sum(1).tolist(), strict=True))[1:]:
        if law == 0.0 and recipe.mixing.needs_windows:
            raise ValueError(
                f"source '{source.name}' is never drawn: its window admits none of the {len(recipe.schedule)} timesteps"
                f" ({recipe.schedule!r}). Widen the window or remove the source."
            )
    cameras = camera_readers(opened, options)
    images, notes = camera_stats(opened[0].name, cameras[0], stats, len(opened[0]))
    stats |= images
    for note in notes:
        logger.warning("normalisation of the mixture: %s", note)
    lengths = [len(source) for source in opened]
    dataset = MergedDataset(columns, lengths, cameras, group_of_frame, tasks, options.image_transforms)
    features = {key: spec for key, spec in opened[0].features.items() if key in dataset.keys}
    for problem in untrainable_cameras(opened[0].name, features):
        logger.warning("%s", problem)
    meta = MixtureMetadata(opened, columns, features, stats, tasks)
    fingerprint = [
        describe_source(source, list(of_source))
        for source, (_, of_source) in zip(opened, groupby(groups, key=lambda group: group.source), strict=True)
    ]
    fingerprint.append(describe_recipe(recipe))
    mixture = Mixture(
        opened,
        tuple(groups),
        plan,
        recipe.mixing,
        GroupedFrames(parts),
        dataset,
        meta,
        normalizations,
        kept,
        fingerprint,
    )
    meta.mixture = mixture
    return mixture


def relative_action_stats(target: OpenSource, columns: Columns, kept: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """LeRobot-style statistics (A,) of the target's raw chunks minus the current state, padding left out.

    Raises:
        ValueError: action and state do not have the same dimensions.
    """
    action, state = target.features.get(ACTION), target.features.get(OBS_STATE)
    if action is None or state is None or tuple(action["shape"]) != tuple(state["shape"]):
        shapes = {key: spec and tuple(spec["shape"]) for key, spec in ((ACTION, action), (OBS_STATE, state))}
        raise ValueError(
            f"relative_actions subtracts {OBS_STATE} from {ACTION}, so both need the same dimensions; "
            f"'{target.name}' has {shapes}. Set --policy.relative_actions=false."
        )
    names, others = (read_names(spec).names for spec in (action, state))
    if names != others and sorted(names) == sorted(others):
        raise ValueError(
            f"relative_actions subtracts {OBS_STATE} from {ACTION} place by place, and '{target.name}' has them in "
            f"another order, {list(others)} and {list(names)}. Set policy.relative_actions=false."
        )
    rows = torch.from_numpy(np.concatenate([np.arange(a, b) for a, b in zip(*kept, strict=True)]))
    size = int(np.prod(action["shape"]))
    values = []
    for some in rows.split(65536):
        chunks, is_pad = columns.relative_chunks(ACTION, OBS_STATE, some)
        values.append(chunks.reshape(*is_pad.shape, size)[~is_pad].double())
    flat = torch.cat(values)
    low, high, std = flat.amin(0), flat.amax(0), flat.std(0, correction=0)
    # A dimension that never moves gets range 1: nothing may be divided by its rounding errors.
    constant = high == low
    return {
        "min": torch.where(constant, low - 0.5, low).float(),
        "max": torch.where(constant, high + 0.5, high).float(),
        "mean": flat.mean(0).float(),
        "std": torch.where(constant, 1.0, std).float(),
        **{
            f"q{int(100 * q):02d}": torch.where(
                constant, low + (0.5 if q > 0.5 else -0.5), torch.from_numpy(np.quantile(flat.numpy(), q, axis=0))
            ).float()
            for q in (0.01, 0.1, 0.9, 0.99)
        },
    }


def _normalization(stats: dict[str, dict[str, Any]], recipe: MixtureRecipe, horizon: int) -> ActionNormalization:
    key = RELATIVE_ACTION if recipe.relative_actions else ACTION
    offset, scale = affine_of(stats[key], recipe.action_mode)
    return ActionNormalization(
        mode=recipe.action_mode,
        relative=recipe.relative_actions,
        offset=tuple(float(x) for x in offset.reshape(-1)),
        scale=tuple(float(x) for x in scale.reshape(-1)),
        horizon=horizon,
    )


def _of_source(normalization: ActionNormalization, own: tuple[np.ndarray, np.ndarray] | None) -> ActionNormalization:
    """What a source's noise levels are relative to: the target's normalisation, or its own (offset, scale)."""
    if own is None:
        return normalization
    return replace(normalization, offset=tuple(own[0].tolist()), scale=tuple(own[1].tolist()))


def _buffered(group: Group, recipe: MixtureRecipe) -> Group:
    if recipe.max_amplification is None or group.is_target:
        return group
    window = group.window.buffered(recipe.max_amplification)
    return Group(group.source, group.name, group.count, window, group.weight)


def _kept_runs(source: OpenSource, drop: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames that may start a sample: each episode without its last `drop` frames, as DiffusionPolicy does.

    `drop` counts frames of the target; at `rate` times its fps the same time is that many times the frames.
    """
    # A whole number of frames must not become one more by rounding.
    dropped = math.ceil(drop * rate - 1e-9)
    starts, stops = source.starts, source.stops - dropped
    long_enough = stops > starts
    if not long_enough.any():
        longest = int((source.stops - source.starts).max())
        raise ValueError(
            f"'{source.name}': no frame is left after dropping the last {dropped} of each episode "
            f"(policy.drop_n_last_frames); its longest episode has {longest} frames."
        )
    if not long_enough.all():
        short = source.episode_ids[~long_enough].tolist()
        logger.warning(
            "'%s': %d episodes are not longer than the last %d frames that are dropped and give no samples: %s",
            source.name,
            len(short),
            dropped,
            short[:10],
        )
    return starts[long_enough], stops[long_enough]


def _require_apart(target: OpenSource, source: OpenSource) -> None:
    """A frame may not be both trusted and suspect."""
    if Path(target.meta.root).resolve() != Path(source.meta.root).resolve():
        return
    shared = sorted(set(target.episodes) & set(source.episodes))
    if shared:
        raise ValueError(
            f"the target is among the sources: '{source.name}' ({source.meta.root}) shares episodes {shared[:10]} with "
            "it. Remove the source, or give the two disjoint `episodes`."
        )


def _unique_names(configs: Sequence[SourceConfig]) -> list[str]:
    """The repo_id, numbered where a data set is used more than once."""
    ids = [config.repo_id for config in configs]
    return [name if ids.count(name) == 1 else f"{name}#{ids[:i].count(name)}" for i, name in enumerate(ids)]
