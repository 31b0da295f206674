# SPDX-License-Identifier: Apache-2.0
"""Samples a second of this package's loader, as ratios against LeRobot's loaders and a bare gather, in one run.

The loaders take turns (A B C A B C ...), each with a fresh DataLoader, a warm-up and then a fixed time. Every
round gives one ratio a peer, so what drifts on the machine hits both sides of it. A figure is the median over
rounds; its interval is a bootstrap over rounds. Nothing is asserted: a machine's load is not a property of the code.
"""

from __future__ import annotations

import datetime
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from tqdm import tqdm

from lerobot_ambient.benchmarks.speed import loader_data as generated
from lerobot_ambient.benchmarks.speed import loader_peers as peers
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.integration.commands.machine import machine

_CACHED_SIZE = (96, 96)
"""(height, width) of the cached frames."""
_LOW_DIM_RATIOS = {f"vs_{peer}": ("ours", peer) for peer in ("lerobot", "multi", "gather")}
_VIDEO_RATIOS = {
    "vs_lerobot": ("ours", "lerobot"),
    "vs_multi": ("ours", "multi"),
    **{f"cached_vs_{peer}": ("cached", peer) for peer in ("lerobot", "multi", "gather")},
}
_LANCE = "lance"
"""lerobot-lancedb's loader, which takes part where it is installed."""
_RESAMPLES = 4000
_BOOTSTRAP_SEED = 20250924


@dataclass(frozen=True)
class LoaderOptions:
    """What is measured.

    Args:
        pairs: rounds in one process; with workers, half as many (rounded up).
        batch_size, video_batch_size: samples in a batch.
        workers: numbers of worker processes; 0, which the headline ratios are of, is among them.
        seconds: least time of each measurement, which also takes at least `batches` batches.
        batches: least number of batches of each measurement.
        video: whether to measure video at all.
        video_root: a LeRobot dataset with cameras; a generated one when None.
        rename: its keys to LeRobot's, e.g. {actions: action}.

    Raises:
        ValueError: an option out of range, or workers without 0.
    """

    pairs: int = 5
    batch_size: int = 128
    video_batch_size: int = 16
    workers: tuple[int, ...] = (0, 1, 2)
    seconds: float = 2.0
    batches: int = 3
    video: bool = True
    video_root: Path | None = None
    rename: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("pairs", "batch_size", "video_batch_size", "batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")
        if not 0.0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds must be positive, got {self.seconds}.")
        if 0 not in self.workers or min(self.workers) < 0 or len(set(self.workers)) != len(self.workers):
            raise ValueError(
                f"--workers must be different numbers of processes, 0 among them (the headline ratios are those of one "
                f"process); got {','.join(map(str, self.workers))}."
            )
        if self.video_root is not None and not (self.video_root / "meta" / "info.json").is_file():
            raise ValueError(f"--video-root {self.video_root} is no LeRobot dataset (no meta/info.json).")
        if self.video_root is None and self.rename:
            raise ValueError("--rename names keys of the dataset in --video-root; give --video-root or leave it out.")
        if not self.video and self.video_root is not None:
            raise ValueError("--skip-video measures no video, so --video-root would be ignored; keep one of them.")


@dataclass(frozen=True)
class _Setting:
    """One kind of data: who reads it, and which ratios are wanted (the loaders above and below the line)."""

    title: str
    loaders: Sequence[peers.Loader]
    ratios: Mapping[str, tuple[str, str]]
    facts: Mapping[str, Any]


def bench_loader(options: LoaderOptions) -> dict[str, Any]:
    """Measure.

    Returns:
        `low_dim` and `video`: median ratios of samples/s in one process, ours over the other's. `detail`: per kind
        of data what was read and, per number of workers, samples/s and ratios with intervals.

    Raises:
        ValueError: a dataset that cannot be read, or a video that cannot be encoded here.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-loader-") as folder:
        settings = {"low_dim": _low_dim(options, Path(folder))}
        if options.video:
            settings["video"] = _video(options, Path(folder))
        # Everything is opened before anything is measured: what is wrong shows at once.
        detail = {kind: {**one.facts, "workers": _compare(one, options)} for kind, one in settings.items()}
    return {
        **{kind: _headline(one) for kind, one in detail.items()},
        "detail": detail,
        "command": _command(options),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - began, 1),
        "interval": "percentiles 2.5 and 97.5 of the median ratio, bootstrapped over rounds",
    }


def samples_per_second(loader: peers.Loader, workers: int, seconds: float, batches: int) -> float:
    """Rate of a fresh loader, after a warm-up of a tenth of the time and one batch a worker."""
    with closing(loader.start(workers)) as stream:
        _take(stream, seconds / 10, max(1, workers))
        began = time.perf_counter()
        samples = _take(stream, seconds, batches)
        return samples / (time.perf_counter() - began)


def ratio_with_interval(rounds: Sequence[float]) -> dict[str, Any]:
    """Median of the rounds' ratios and the bootstrap interval of it; a point when there is one round."""
    values = np.asarray(rounds, dtype=np.float64)
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    medians = np.median(values[rng.integers(len(values), size=(_RESAMPLES, len(values)))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"median": float(np.median(values)), "interval95": [float(low), float(high)], "rounds": values.tolist()}


def _take(stream: Iterator[peers.Batch], seconds: float, batches: int) -> int:
    samples, stop = 0, time.perf_counter() + seconds
    while batches > 0 or time.perf_counter() < stop:
        samples += len(next(stream)["index"])
        batches -= 1
    return samples


def _low_dim(options: LoaderOptions, folder: Path) -> _Setting:
    target, source = generated.write_low_dim(folder / "low_dim")
    ours = peers.ours(
        "ours",
        Source(target.name, root=str(target)),
        [Source(source.name, root=str(source), sigma_min=0.3)],
        options.batch_size,
    )
    like = next(ours.start(0))
    loaders = [
        ours,
        peers.lerobot(target, {}, options.batch_size),
        peers.multi([target, source], {}, options.batch_size),
        peers.gather(like, 2 * generated.EPISODES * generated.FRAMES, options.batch_size),
    ]
    loaders += _where_installed(peers.lance(target, {}, options.batch_size, folder / "low_dim_lance"))
    facts = {
        "data": f"Two generated datasets of {generated.EPISODES} episodes of {generated.FRAMES} frames",
        "batch_size": options.batch_size,
        "bytes_per_sample": _bytes(like) // options.batch_size,
    }
    return _Setting("low-dim", loaders, _with_lance(_LOW_DIM_RATIOS, loaders), facts)


def _video(options: LoaderOptions, folder: Path) -> _Setting:
    root = options.video_root or generated.write_video(folder / "video")
    meta = LeRobotDatasetMetadata(root.name, root=root)
    if not meta.camera_keys:
        raise ValueError(f"--video-root {root} has no camera; its keys are {sorted(meta.features)}.")
    target, size = Source(root.name, root=str(root), rename=dict(options.rename)), options.video_batch_size
    began = time.perf_counter()
    cached = peers.ours("cached", target, [], size, frame_cache=folder / "frame_cache", frame_size=_CACHED_SIZE)
    cache_seconds = time.perf_counter() - began
    like = next(cached.start(0))
    loaders = [
        peers.ours("ours", target, [], size),
        cached,
        peers.lerobot(root, options.rename, size),
        peers.multi([root], options.rename, size),
        peers.gather(like, meta.total_frames, size),
    ]
    loaders += _where_installed(peers.lance(root, options.rename, size, folder / "video_lance"))
    sizes = sorted({"x".join(map(str, meta.features[key]["shape"][:2])) for key in meta.camera_keys})
    what = "A generated dataset" if options.video_root is None else root.name
    cameras = "1 camera" if len(meta.camera_keys) == 1 else f"{len(meta.camera_keys)} cameras"
    facts = {
        "data": f"{what}: {meta.total_episodes} episodes, {meta.total_frames} frames, {cameras} of {', '.join(sizes)}",
        "batch_size": size,
        "cached_size": list(_CACHED_SIZE),
        "cache_seconds": round(cache_seconds, 1),
        "bytes_per_sample": _bytes(like) // size,
    }
    return _Setting("video", loaders, _with_lance(_VIDEO_RATIOS, loaders), facts)


def _where_installed(peer: peers.Loader | None) -> list[peers.Loader]:
    return [] if peer is None else [peer]


def _with_lance(
    ratios: Mapping[str, tuple[str, str]], loaders: Sequence[peers.Loader]
) -> Mapping[str, tuple[str, str]]:
    """The ratios, and those against lerobot-lancedb where it takes part."""
    names = [one.name for one in loaders]
    if _LANCE not in names:
        return ratios
    ours = {f"vs_{_LANCE}": ("ours", _LANCE)}
    return {**ratios, **ours, **({f"cached_vs_{_LANCE}": ("cached", _LANCE)} if "cached" in names else {})}


def _compare(setting: _Setting, options: LoaderOptions) -> dict[str, Any]:
    """Rates and ratios by number of workers."""
    found = {}
    for workers in sorted(options.workers):
        rounds = options.pairs if workers == 0 else (options.pairs + 1) // 2
        rates = _rounds(f"{setting.title}, {workers} workers", setting.loaders, workers, rounds, options)
        ratios = {
            name: ratio_with_interval([rate[above] / rate[below] for rate in rates])
            for name, (above, below) in setting.ratios.items()
        }
        found[str(workers)] = {
            "rounds": rounds,
            "samples_per_s": {
                one.name: float(np.median([rate[one.name] for rate in rates])) for one in setting.loaders
            },
            "ratios": ratios,
        }
    return found


def _rounds(
    title: str, loaders: Sequence[peers.Loader], workers: int, rounds: int, options: LoaderOptions
) -> list[dict[str, float]]:
    found = []
    with tqdm(total=rounds * len(loaders), desc=title, unit="turn") as bar:
        for _ in range(rounds):
            rates = {}
            for one in loaders:
                bar.set_postfix_str(one.name)
                used = workers if one.workers else 0
                rates[one.name] = samples_per_second(one, used, options.seconds, options.batches)
                bar.update()
            found.append(rates)
    return found


def _headline(detail: Mapping[str, Any]) -> dict[str, float]:
    return {name: ratio["median"] for name, ratio in detail["workers"]["0"]["ratios"].items()}


def _bytes(batch: Mapping[str, Any]) -> int:
    return sum(value.nbytes for value in batch.values() if isinstance(value, torch.Tensor))


def _command(options: LoaderOptions) -> str:
    """The command that repeats the run; only the name of the video's folder."""
    default = LoaderOptions()
    words = ["lerobot-ambient", "bench", "loader"]
    for name in ("pairs", "batch_size", "video_batch_size", "seconds"):
        if getattr(options, name) != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    if options.workers != default.workers:
        words += ["--workers", ",".join(map(str, options.workers))]
    if options.video_root is not None:
        words += ["--video-root", options.video_root.name]
    if options.rename:
        words += ["--rename", f"'{json.dumps(dict(options.rename))}'"]
    return " ".join(words if options.video else [*words, "--skip-video"])
