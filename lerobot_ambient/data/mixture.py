# SPDX-License-Identifier: Apache-2.0
"""A mixture: opened datasets, their groups, the plan, and the sampler that follows it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION
from torch import Tensor

from lerobot_ambient.core.mixing import MixingRule
from lerobot_ambient.core.plan import Group, Plan, make_plan, require_plan_fits
from lerobot_ambient.core.target_share import crowded_out, repeated_few
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.alignment.align import align, align_target, left_out_keys
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.copied_episodes import told_of_copies
from lerobot_ambient.data.alignment.foreign_units import foreign_units
from lerobot_ambient.data.alignment.target_keys import require_policy_keys
from lerobot_ambient.data.batches.camera_readers import camera_readers
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.batches.merge_columns import merge_columns, merged_tasks
from lerobot_ambient.data.batches.merged_dataset import FrameTags, MergedDataset
from lerobot_ambient.data.batches.mixture_metadata import MixtureMetadata
from lerobot_ambient.data.batches.relative_statistics import relative_action_stats
from lerobot_ambient.data.batches.shared_pages import share
from lerobot_ambient.data.cameras.needed_cameras import untrainable_cameras
from lerobot_ambient.data.cameras.readers import AbsentReader
from lerobot_ambient.data.declared.groups import MANY
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.kinematics.shared_space import in_shared_space
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION, ActionNormalization
from lerobot_ambient.data.normalization.camera_statistics import camera_stats
from lerobot_ambient.data.normalization.own import Affine, action_normalizations, own_normalized
from lerobot_ambient.data.normalization.statistics import merged_stats, target_stats
from lerobot_ambient.data.provenance.fingerprint import describe_recipe, describe_source
from lerobot_ambient.data.provenance.overview import dataset_rows, folded_lines, overview_lines
from lerobot_ambient.data.reading.alike_warnings import alike_together
from lerobot_ambient.data.reading.open_dataset import OpenedDataset, ReadOptions, open_dataset, open_metadata
from lerobot_ambient.data.reading.open_many import in_threads
from lerobot_ambient.data.sampling.grouping import WindowGroups, split_windows
from lerobot_ambient.data.sampling.sampler import FrameIndex, FramesInOrder, GroupedFrames, MixtureSampler
from lerobot_ambient.data.windows.merged_file import MergedFile, merged_file_of
from lerobot_ambient.data.windows.source_windows import windows_of

logger = logging.getLogger(__name__)

_BLOCKS_A_DRAW = 2
"""Blocks of each camera that the cache has to hold for every draw that is announced."""

_Runs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class AssembledMixture:
    """A mixture with all its parts in place, as `make_mixture` returns it; `la.Mixture` holds one.

    Attributes:
        sources: the target first.
        plan: joint law of (group, timestep), its groups with the windows as declared.
        mixing: the rule that filled it.
        frames: which positions of `dataset` each group holds.
        dataset: the merged dataset.
        meta: its face towards LeRobot.
        normalizations: per dataset, what its noise levels are relative to: the target's, or its own.
        kept: per dataset, half-open runs (starts, stops) of its frames that may start a sample.
        held_out: the same of the episodes that a source keeps from training.
        fingerprint: one line per dataset and one for the recipe; equal lines mean the same mixture.
        renamed: keys of a batch to those that the policy's preprocessor gives them, as LeRobot's `rename_map`.
    """

    sources: list[AlignedSource]
    plan: Plan
    mixing: MixingRule
    frames: GroupedFrames
    dataset: MergedDataset
    meta: MixtureMetadata
    normalizations: list[ActionNormalization]
    kept: list[tuple[np.ndarray, np.ndarray]]
    held_out: list[tuple[np.ndarray, np.ndarray]]
    fingerprint: list[str]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def sampler(self, seed: int, *, look_ahead: int = 0) -> MixtureSampler:
        """What draws by the plan.

        Args:
            seed: of the run.
            look_ahead: draws by which frames are announced, where videos stay on the Hub and are fetched then; fewer
                where the block cache is small.
        """
        rooms = [source.storage.room for source in self.sources if source.storage.room is not None]
        # A sample of one camera lies in one or two blocks.
        most = min(rooms, default=0) // (_BLOCKS_A_DRAW * max(1, len(self.dataset.camera_keys)))
        ahead = min(look_ahead, most) if self.streams else 0
        return MixtureSampler(self.frames, self.plan.group_law.numpy(), seed=seed, look_ahead=ahead)

    def in_order(self) -> FramesInOrder:
        """All frames that may start a sample, one after another."""
        rows = [self.sample_rows(index) + self.dataset.offsets[index] for index in range(len(self.sources))]
        return FramesInOrder(np.concatenate(rows).tolist())

    @property
    def streams(self) -> bool:
        """Whether frames are read from the Hub as they are drawn; a frame cache holds them here."""
        return any(reader.is_remote for readers in self.dataset.cameras for reader in readers.values())

    def sample_rows(self, index: int) -> np.ndarray:
        """(n,) int64 frames of a dataset that may start a sample, counted within it."""
        return _rows_of(self.kept[index])

    def trained_on(self, index: int) -> np.ndarray:
        """(E,) bool, which of a dataset's episodes are not held out."""
        return ~np.isin(self.sources[index].starts, self.held_out[index][0])

    def held_out_rows(self, index: int) -> np.ndarray:
        """(n,) int64 frames that start samples of a source's held-out episodes, counted within it."""
        return _rows_of(self.held_out[index])

    def place_of(self, index: int) -> str | None:
        """What a batch's `index` is called: dataset, episode, frame; None for a frame outside the mixture."""
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
        repeated = repeated_few(self.plan, names, self.mixing)
        by_place = folded_lines(self.matched_by_place, "datasets matched by place")
        return [*by_place, *(told for told in (crowded, repeated) if told is not None)]

    @property
    def notes(self) -> list[str]:
        """What was done to fit the datasets to each other and is worth a look."""
        noted = [f"'{source.name}': {note}" for source in self.sources for note in source.notes]
        rows = [(source, self.kept[index], self.held_out[index]) for index, source in enumerate(self.sources)]
        held = [
            f"'{source.name}': holdout={source.config.holdout:g} keeps {len(starts)} of its {len(starts) + len(kept)} "
            "episodes from training."
            for source, (kept, _), (starts, _) in rows
            if len(starts)
        ]
        return [*noted, *held]

    @property
    def matched_by_place(self) -> list[str]:
        """What was matched by place for want of names, datasets of the target's own file aside."""
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
        """(S, A) bool, False for action dimensions that a dataset lacks and that carry no loss; None without any."""
        masked = np.stack([source.maps[ACTION].masked for source in self.sources])
        return torch.from_numpy(~masked) if masked.any() else None

    @property
    def absent_cameras(self) -> dict[str, Tensor] | None:
        """Per camera of the policy (S,) bool, True for datasets that lack it; None when no dataset lacks any."""
        fills = {
            self.renamed.get(key, key): torch.tensor(
                [isinstance(readers[key], AbsentReader) for readers in self.dataset.cameras]
            )
            for key in self.dataset.camera_keys
        }
        return fills if any(bool(absent.any()) for absent in fills.values()) else None

    def __str__(self) -> str:
        """What a training log says: the rule, and a line a dataset with what identifies it and what is drawn of it."""
        law = self.plan.by_source().sum(1).tolist()
        lines = [f"mixture of {len(self.sources)} datasets over {self.plan.schedule}; {self.mixing}"]
        if len(self.sources) > 1 + MANY:
            rows = dataset_rows(self.sources, self.plan)
            return "\n".join([*lines, *(f"  {line}" for line in overview_lines(rows))])
        for index, (line, drawn) in enumerate(zip(self.fingerprint, law, strict=False)):
            samples = sum(group.count for group in self.plan.groups if group.source == index)
            lines.append(f"  {line}; {samples} samples, {100 * drawn:.1f} % of the draws")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return "\n".join(["AssembledMixture", *(f"  {line}" for line in self.fingerprint), repr(self.plan)])


def make_mixture(
    target: Source,
    sources: Sequence[Source],
    options: ReadOptions,
    recipe: MixtureRecipe,
    *,
    held_out: bool = False,
    choose: Callable[[Source, str], Source] | None = None,
) -> AssembledMixture:
    """Open, align, group, plan, merge: each step one function, each made of what the one before returns.

    A merged dataset as the target brings its sources with it.

    Args:
        target, sources: as declared.
        options: how datasets are read.
        recipe: everything else.
        held_out: leave out the sources of a merged dataset.
        choose: each dataset and its name to the dataset with fewer episodes, for who looks at a part of a large one.

    Raises:
        ValueError: anything that keeps the mixture from being what was asked for; the message names the dataset,
            both values and the fix.
    """
    declared = _declare(target, sources, recipe, held_out=held_out)
    if choose is not None:
        chosen = [choose(config, name) for config, name in zip(declared.configs, declared.names, strict=True)]
        declared = replace(declared, configs=chosen)
    aligned = _align(declared, options)
    stats, aligned, own = _normalize(declared, aligned, recipe)
    tasks = merged_tasks(aligned)
    columns, aligned = merge_columns(aligned, options, tasks)
    runs = [_sample_runs(source, recipe.drop_n_last_frames, source.fps / aligned[0].fps) for source in aligned]
    kept, held = zip(
        *(_hold_out(source, *of_source) for source, of_source in zip(aligned, runs, strict=True)), strict=True
    )
    if recipe.relative_actions:
        stats[RELATIVE_ACTION] = relative_action_stats(aligned[0], columns, kept[0])
    normalizations = action_normalizations(stats, own, recipe, len(options.action_deltas))
    grouped = _group(aligned, kept, normalizations, recipe)
    plan = _plan(grouped.groups, aligned, recipe)
    dataset = _merge(aligned, columns, grouped, stats, tasks, options)
    features = {key: spec for key, spec in aligned[0].features.items() if key in dataset.keys}
    for problem in untrainable_cameras(aligned[0].name, features):
        logger.warning("%s", problem)
    meta = MixtureMetadata(aligned, columns, features, stats, tasks)
    by_source = groupby(plan.groups, key=lambda group: group.source)
    meta.mixture = AssembledMixture(
        sources=aligned,
        plan=plan,
        mixing=recipe.mixing,
        frames=grouped.frames,
        dataset=dataset,
        meta=meta,
        normalizations=normalizations,
        kept=list(kept),
        held_out=list(held),
        fingerprint=[
            *(describe_source(source, list(groups)) for source, (_, groups) in zip(aligned, by_source, strict=True)),
            describe_recipe(recipe),
        ],
    )
    return meta.mixture


@dataclass(frozen=True)
class _Declared:
    """Every dataset of a mixture before it is opened, the target first; `tagged` of them lie in the target's file."""

    configs: Sequence[Source]
    names: Sequence[str]
    action_type: str | None
    merged: MergedFile | None
    tagged: int


def _declare(target: Source, sources: Sequence[Source], recipe: MixtureRecipe, *, held_out: bool) -> _Declared:
    names = _unique_names([target, *sources])
    merged = merged_file_of(open_metadata(target, target.repo_id))
    if merged is None:
        return _Declared([target, *sources], names, recipe.target_action_type, None, 0)
    target, *tagged = merged.expand(target)[: 1 if held_out else None]
    names = [*merged.names[: 1 + len(tagged)], *names[1:]]
    return _Declared([target, *tagged, *sources], names, merged.action_type, merged, len(tagged))


def _align(declared: _Declared, options: ReadOptions) -> list[AlignedSource]:
    """Every dataset opened and brought into the target's language."""
    (config, *others), (name, *names) = declared.configs, declared.names
    opened = open_dataset(config, name, is_target=True, stream=options.stream)
    require_policy_keys(name, opened.features, config.rename)
    space = config.end_effector
    target = align_target(in_shared_space(opened, space))

    def brought(named: tuple[Source, str]) -> AlignedSource:
        source = open_dataset(*named, cameras=target.camera_keys, stream=options.stream)
        _require_apart(target, source)
        return align(target, in_shared_space(source, space), declared.action_type)

    with alike_together(many=len(others) > MANY):
        sources = in_threads(brought, list(zip(others, names, strict=True)), "opening datasets")
        foreign = [line for source in sources for line in foreign_units(target, source)]
        for line in [*told_of_copies(target, sources), *foreign]:
            logger.warning("%s", line)
    aligned = [target, *sources]
    for key in left_out_keys(aligned):
        logger.info("feature %s is not in every dataset and is left out of the mixture.", key)
    return aligned


def _normalize(
    declared: _Declared, aligned: Sequence[AlignedSource], recipe: MixtureRecipe
) -> tuple[dict[str, dict[str, Any]], list[AlignedSource], list[Affine | None]]:
    """The target's statistics, the datasets with those moved that keep their own, and what these keep."""
    if declared.merged is None:
        stats, notes = target_stats(aligned)
    else:
        stats, notes = merged_stats(declared.merged.stats, aligned[0], aligned[1 + declared.tagged :])
    for note in notes:
        logger.warning("normalisation of the mixture: %s", note)
    moved = [own_normalized(source, stats, recipe) for source in aligned[1:]]
    return stats, [aligned[0], *(source for source, _ in moved)], [None, *(own for _, own in moved)]


@dataclass
class _Grouped:
    """Groups, the frames of each, and what tells a frame's group: one number for a dataset, or a tag a frame."""

    groups: list[Group]
    frames: GroupedFrames
    tags: list[int | FrameTags]


def _group(
    aligned: Sequence[AlignedSource],
    kept: Sequence[tuple[np.ndarray, np.ndarray]],
    normalizations: Sequence[ActionNormalization],
    recipe: MixtureRecipe,
) -> _Grouped:
    """Frames that share a source and a window."""
    groups: list[Group] = []
    parts: list[FrameIndex | tuple[np.ndarray, np.ndarray]] = []
    tags: list[int | FrameTags] = []
    offset = 0
    for index, (source, (starts, stops)) in enumerate(zip(aligned, kept, strict=True)):
        windows = windows_of(source, index, recipe.mixing, normalizations[index])
        if isinstance(windows, Window):
            tags.append(len(groups))
            groups.append(Group(index, source.name, int((stops - starts).sum()), windows, source.config.weight))
            parts.append((starts + offset, stops + offset))
        else:
            made = split_windows(*windows, starts, stops, recipe.schedule)
            if (shared := share(made.arrays())) is not None:
                made = WindowGroups(**shared)
            require_plan_fits(len(groups) + len(made), recipe.schedule)
            tags.append(FrameTags(made.group_of_frame, made.no_group, len(groups)))
            groups.extend(
                Group(index, source.name, count, window, source.config.weight)
                for count, window in zip(made.counts.tolist(), made.windows, strict=True)
            )
            parts.append(FrameIndex(made.order, made.counts, offset))
        offset += len(source)
    return _Grouped(groups, GroupedFrames(parts), tags)


def _plan(groups: Sequence[Group], aligned: Sequence[AlignedSource], recipe: MixtureRecipe) -> Plan:
    """The joint law; a source of which nothing would be drawn is refused."""
    plan = make_plan(groups, recipe.schedule, recipe.mixing, max_amplification=recipe.max_amplification)
    for source, law in list(zip(aligned, plan.by_source().sum(1).tolist(), strict=True))[1:]:
        if law == 0.0 and recipe.mixing.needs_windows:
            raise ValueError(
                f"source '{source.name}' is never drawn: its window admits none of the {len(recipe.schedule)} "
                f"{recipe.schedule.unit} ({recipe.schedule!r}). Widen the window or remove the source."
            )
    return plan


def _merge(
    aligned: Sequence[AlignedSource],
    columns: Columns,
    grouped: _Grouped,
    stats: dict[str, dict[str, Any]],
    tasks: Sequence[str],
    options: ReadOptions,
) -> MergedDataset:
    """The datasets behind one index; the target's camera statistics are added to `stats`."""
    cameras = camera_readers(aligned, options)
    images, notes = camera_stats(aligned[0].name, cameras[0], stats, len(aligned[0]))
    stats |= images
    for note in notes:
        logger.warning("normalisation of the mixture: %s", note)
    lengths = [len(source) for source in aligned]
    return MergedDataset(columns, lengths, cameras, grouped.tags, tasks, options.image_transforms)


def _sample_runs(source: AlignedSource, drop: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
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


def _hold_out(source: AlignedSource, starts: np.ndarray, stops: np.ndarray) -> tuple[_Runs, _Runs]:
    """The runs that are trained on, and those of the episodes that the source holds out, evenly spaced."""
    share, episodes = source.config.holdout, len(starts)
    held = np.zeros(episodes, dtype=bool)
    if share > 0.0:
        count = max(1, round(share * episodes))
        if count == episodes:
            raise ValueError(
                f"source '{source.name}': holdout={share:g} leaves none of its {episodes} episodes to train on; lower "
                "it."
            )
        held[((np.arange(count) + 0.5) * episodes / count).astype(np.int64)] = True
    return (starts[~held], stops[~held]), (starts[held], stops[held])


def _rows_of(runs: _Runs) -> np.ndarray:
    parts = [np.arange(start, stop) for start, stop in zip(*runs, strict=True)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _require_apart(target: AlignedSource, source: OpenedDataset) -> None:
    """A frame may not be both trusted and suspect."""
    if Path(target.meta.root).resolve() != Path(source.meta.root).resolve():
        return
    shared = sorted(set(target.episodes) & set(source.episodes))
    if shared:
        raise ValueError(
            f"the target is among the sources: '{source.name}' ({source.meta.root}) shares episodes {shared[:10]} with "
            "it. Remove the source, or give the two disjoint `episodes`."
        )


def _unique_names(configs: Sequence[Source]) -> list[str]:
    """The repo_id, numbered where a dataset is used more than once."""
    ids = [config.repo_id for config in configs]
    return [name if ids.count(name) == 1 else f"{name}#{ids[:i].count(name)}" for i, name in enumerate(ids)]
