# SPDX-License-Identifier: Apache-2.0
"""The loaders that `bench loader` compares, each as its users run it: endless batches, given a number of workers."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.default import DatasetConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.multi_dataset import MultiLeRobotDataset
from lerobot.datasets.sampler import EpisodeAwareSampler
from lerobot.utils.import_utils import get_safe_default_video_backend
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.integration.training.configured_mixture import recipe_of
from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
Batches = Generator[Batch, None, None]

POLICY = {"n_obs_steps": 2, "horizon": 16, "n_action_steps": 8, "drop_n_last_frames": 7}
"""The chunks of every loader: two observations and sixteen actions, as in diffusion policy."""
_PREFETCH = 4
"""Batches a worker reads ahead, lerobot-train's default."""
_INDEX_SETS = 64
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class Loader:
    """A way to get batches.

    Args:
        name: key in the results.
        start: number of worker processes to endless batches.
        workers: whether it can use any.
    """

    name: str
    start: Callable[[int], Batches]
    workers: bool = True


def ours(
    name: str,
    target: Source,
    sources: Sequence[Source],
    batch_size: int,
    *,
    frame_cache: Path | None = None,
    frame_size: tuple[int, int] | None = None,
) -> Loader:
    """This package's loader, as lerobot-train gets it: the merged dataset with the plan's sampler.

    Args:
        target, sources: of the mixture; sources need a window.
        frame_cache, frame_size: folder of the decoded frames and their (height, width); decoding when None.

    Raises:
        ValueError: a mixture that cannot be made.
    """
    policy = AmbientDiffusionConfig(sources=list(sources), **POLICY)  # type: ignore[arg-type]
    options = ReadOptions(
        policy.observation_delta_indices,
        policy.action_delta_indices,
        video_backend=DatasetConfig(repo_id=target.repo_id).video_backend,
        frame_cache=frame_cache,
        frame_size=frame_size,
    )
    mixture = make_mixture(target, sources, options, recipe_of(policy))
    dataset, sampler = MergedTrainingDataset(mixture), mixture.sampler(0)
    return Loader(name, lambda workers: endless(dataset, batch_size, workers, sampler))


def lerobot(root: Path, rename: Mapping[str, str], batch_size: int) -> Loader:
    """LeRobotDataset with EpisodeAwareSampler, as lerobot-train builds them for a diffusion policy.

    Args:
        rename: keys of the dataset to LeRobot's; here they only say which keys are read in chunks.
    """
    dataset = LeRobotDataset(root.name, root=root, return_uint8=True)
    deltas = _delta_timestamps(dataset, rename)
    dataset = LeRobotDataset(root.name, root=root, return_uint8=True, delta_timestamps=deltas)
    sampler = EpisodeAwareSampler(
        dataset.meta.episodes["dataset_from_index"],
        dataset.meta.episodes["dataset_to_index"],
        drop_n_last_frames=POLICY["drop_n_last_frames"],
        shuffle=True,
    )
    return Loader("lerobot", lambda workers: endless(dataset, batch_size, workers, sampler))


def multi(roots: Sequence[Path], rename: Mapping[str, str], batch_size: int) -> Loader:
    """MultiLeRobotDataset with shuffle=True, in a DataLoader with lerobot-train's other arguments.

    Args:
        roots: datasets of one parent folder.
    """
    deltas = _delta_timestamps(LeRobotDataset(roots[0].name, root=roots[0]), rename)
    names = [root.name for root in roots]
    dataset = MultiLeRobotDataset(names, root=roots[0].parent, delta_timestamps=deltas)
    return Loader("multi", lambda workers: endless(dataset, batch_size, workers, None))


def lance(root: Path, rename: Mapping[str, str], batch_size: int, out: Path) -> Loader | None:
    """lerobot-lancedb's LanceDBDataset with EpisodeAwareSampler, on the dataset as its own converter writes it.

    Args:
        out: folder that the converted dataset is written to.

    Returns:
        None where the package is not installed, or cannot decode here: of videos it reads no frame without torchcodec.
    """
    try:
        from lerobot_lancedb import LanceDBDataset, lance_mp_context
        from lerobot_lancedb.convert import convert
    except ImportError:
        logger.warning("lerobot-lancedb is not installed, so it is not measured: pip install lerobot-lancedb")
        return None
    original = LeRobotDataset(root.name, root=root)
    if original.meta.video_keys and get_safe_default_video_backend() != "torchcodec":
        logger.warning("lerobot-lancedb is not measured on video: it needs torchcodec, which finds no FFmpeg here.")
        return None
    # The converter prints what it does; the standard output is for what was measured.
    with redirect_stdout(sys.stderr):
        convert(out, root=root)
    deltas = _delta_timestamps(original, rename)
    dataset = LanceDBDataset(root.name, root=out, delta_timestamps=deltas, return_uint8=True)
    sampler = EpisodeAwareSampler(
        original.meta.episodes["dataset_from_index"],
        original.meta.episodes["dataset_to_index"],
        drop_n_last_frames=POLICY["drop_n_last_frames"],
        shuffle=True,
    )
    assert _context() in (lance_mp_context(), "spawn")
    return Loader("lance", lambda workers: endless(dataset, batch_size, workers, sampler))


def gather(like: Batch, frames: int, batch_size: int) -> Loader:
    """The limit: the columns of a batch as tensors in memory, one index operation a column, nothing else.

    The indices are made beforehand; like real chunks they are neighbours. Padding flags, tasks and groups, which a
    loader has to work out, are left out: the limit is only the bytes of the dataset.

    Args:
        like: a batch of ours, whose keys, shapes and types are copied.
        frames: rows of each column; fewer where the columns would exceed 1 GiB.
    """
    kept = {key: value for key, value in like.items() if isinstance(value, Tensor) and not key.endswith("_is_pad")}
    chunked = {key: f"{key}_is_pad" in like for key in kept}
    shapes = {key: tuple(value.shape[2 if chunked[key] else 1 :]) for key, value in kept.items()}
    bytes_per_frame = sum(kept[key].element_size() * torch.Size(shape).numel() for key, shape in shapes.items())
    frames = min(frames, _MOST_BYTES // bytes_per_frame)
    columns = {key: torch.ones((frames, *shape), dtype=kept[key].dtype) for key, shape in shapes.items()}
    lengths = {key: kept[key].shape[1] for key in kept if chunked[key]}
    generator = torch.Generator().manual_seed(0)
    sets = []
    for _ in range(_INDEX_SETS):
        rows = torch.randint(frames, (batch_size,), generator=generator)
        chunks = {length: (rows.unsqueeze(1) + torch.arange(length)) % frames for length in set(lengths.values())}
        sets.append({key: chunks[lengths[key]] if chunked[key] else rows for key in kept})

    def start(workers: int) -> Batches:
        while True:
            for indices in sets:
                yield {key: column[indices[key]] for key, column in columns.items()}

    return Loader("gather", start, workers=False)


def endless(dataset: Dataset[Any], batch_size: int, workers: int, sampler: Iterable[int] | None) -> Batches:
    """Batches epoch after epoch, from a DataLoader with the arguments of lerobot-train.

    Args:
        sampler: shuffle=True when None.
    """
    several: dict[str, Any] = {}
    if workers:
        several = {"prefetch_factor": _PREFETCH, "persistent_workers": True, "multiprocessing_context": _context()}
    loader = DataLoader(
        dataset, batch_size=batch_size, shuffle=sampler is None, sampler=sampler, num_workers=workers, **several
    )
    while True:
        yield from loader


def _context() -> str:
    """lerobot-train spawns its workers; a fork server starts the same clean processes, but imports only once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    multiprocessing.set_forkserver_preload([__name__])
    return "forkserver"


def _delta_timestamps(dataset: LeRobotDataset, rename: Mapping[str, str]) -> dict[str, list[float]]:
    """Seconds of each key's chunk under the dataset's own keys, by LeRobot's rule."""
    policy = AmbientDiffusionConfig(**POLICY)  # type: ignore[arg-type]
    options = ReadOptions(policy.observation_delta_indices, policy.action_delta_indices)
    original = {rename.get(key, key): key for key in dataset.features}
    deltas = options.deltas(list(original))
    return {original[key]: [offset / dataset.fps for offset in offsets] for key, offsets in deltas.items()}
