# SPDX-License-Identifier: Apache-2.0
"""Samples a second of videos that stay on a Hub, as a ratio of those of the same files on this disk, in one run.

The Hub is the loopback one, in this process, and waits before every answer as a network does. The loaders run in a
process of their own, whose environment names that Hub. They take turns: the files here, the Hub with an empty block
cache, the Hub again with the blocks that were kept. Every round gives a ratio, so what drifts on the machine hits both
sides of it. The block cache is smaller than the videos, so that it has to make room while it is measured.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from tqdm import tqdm

from lerobot_ambient.benchmarks.speed import loader_peers as peers
from lerobot_ambient.benchmarks.speed.loader import ratio_with_interval
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.remote.block_store import BlockStore
from lerobot_ambient.data.remote.options import BATCHES_AHEAD, StreamOptions
from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.training.configured_mixture import recipe_of
from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub
from lerobot_ambient.testing.loopback_hub.store import Repo

REPO = "bench/remote"
FPS = 30
_CAMERA = "observation.images.front"
_JOINTS = tuple(f"joint_{number}.pos" for number in range(7))
_NOISE = 24
"""Grey levels by which a pixel flickers: what a camera adds in a room, and what takes most of a video's bytes."""


@dataclass(frozen=True)
class RemoteOptions:
    """What is measured.

    Args:
        rounds: turns of each loader.
        workers: loader processes, of both sides.
        batch_size: samples in a batch.
        batches: of a turn.
        episodes, frames: of the generated dataset, and of each episode.
        size: (height, width) of its camera.
        latency_ms: before every answer of the Hub.
        bound: bytes of the block cache, as a share of those of the videos.

    Raises:
        ValueError: an option out of range.
    """

    rounds: int = 3
    workers: int = 2
    batch_size: int = 16
    batches: int = 20
    episodes: int = 8
    frames: int = 120
    size: tuple[int, int] = (480, 640)
    latency_ms: float = 20.0
    bound: float = 0.6

    def __post_init__(self) -> None:
        least = {"rounds": 1, "workers": 0, "batch_size": 1, "batches": 1, "episodes": 1, "frames": 20}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {value}, got {getattr(self, name)}.")
        if self.latency_ms < 0.0 or not 0.0 < self.bound <= 10.0:
            raise ValueError(
                f"--latency-ms must not be negative and --bound be in (0, 10]; got {self.latency_ms} and {self.bound}."
            )


def bench_remote(options: RemoteOptions) -> dict[str, Any]:
    """Measure.

    Returns:
        `cold_vs_local` and `kept_vs_local`: median ratios of samples/s with intervals; `bytes_per_sample` that were
        fetched with an empty cache; `most_kept` and `bound`, bytes on disk; and what was measured how.

    Raises:
        ValueError: a video that cannot be encoded here.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-remote-") as folder, LoopbackHub() as hub:
        root = _write(Path(folder) / "here", options)
        size = _put(hub, root)
        _store(Path(folder), int(options.bound * size))
        hub.delay = options.latency_ms / 1000.0
        turns = _turns(hub, root, int(options.bound * size), options)
    rates = [{kind: turn["samples"] / turn["seconds"] for kind, turn in one.items()} for one in turns]
    cold = [turn["cold"] for turn in turns]
    return {
        **{
            f"{kind}_vs_local": ratio_with_interval([rate[kind] / rate["local"] for rate in rates])
            for kind in ("cold", "kept")
        },
        "samples_per_s": {kind: float(np.median([rate[kind] for rate in rates])) for kind in rates[0]},
        "bytes_per_sample": round(float(np.median([turn["sent"] / turn["samples"] for turn in cold]))),
        "bytes_of_a_frame": size // (options.episodes * options.frames),
        "most_kept": max(turn["used"] for one in turns for turn in one.values()),
        "bound": int(options.bound * size),
        "videos": size,
        "options": asdict(options) | {"size": list(options.size)},
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _store(folder: Path, bound: int) -> BlockStore:
    """The block cache.

    Raises:
        ValueError: the bound holds too few blocks; the videos are too small.
    """
    try:
        return StreamOptions(folder / "blocks", bound / 1e9).store()
    except ValueError as error:
        raise ValueError(f"{error} Or measure longer videos (--episodes, --frames) or a larger --bound.") from error


def _write(root: Path, options: RemoteOptions) -> Path:
    """A dataset with one camera, encoded by LeRobot with its default settings."""
    vector = {"dtype": "float32", "shape": (len(_JOINTS),), "names": list(_JOINTS)}
    camera = {"dtype": "video", "shape": (*options.size, 3), "names": ["height", "width", "channels"]}
    features = {"observation.state": vector, "action": vector, _CAMERA: camera}
    rng = np.random.default_rng(np.random.SeedSequence([3, 11]))
    y, x = np.mgrid[: options.size[0], : options.size[1]]
    try:
        dataset = LeRobotDataset.create(REPO, FPS, features, root=root, use_videos=True)
        for _ in tqdm(range(options.episodes), desc="encode", unit="episode"):
            path = rng.normal(size=(options.frames + 1, len(_JOINTS))).astype(np.float32)
            for t in range(options.frames):
                wave = 110 + 70 * np.sin(x / 37 + t / 9) * np.cos(y / 41 - t / 13)
                flicker = rng.integers(-_NOISE, _NOISE, size=(*options.size, 3))
                image = (wave[..., None] + flicker).clip(0, 255).astype(np.uint8)
                numbers = {"observation.state": path[t], "action": path[t + 1]}
                dataset.add_frame({**numbers, _CAMERA: image, "task": "move"})
            dataset.save_episode()
        dataset.finalize()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"the benchmark's video cannot be encoded here ({error}).") from error
    return root


def _put(hub: LoopbackHub, root: Path) -> int:
    """Put the dataset on the Hub; bytes of its videos."""
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    repo = hub.repos.setdefault(("dataset", REPO), Repo())
    repo.tags["v3.0"] = repo.commit("main", files)
    return sum(len(data) for name, data in files.items() if name.endswith(".mp4"))


def _turns(hub: LoopbackHub, root: Path, bound: int, options: RemoteOptions) -> list[dict[str, dict[str, float]]]:
    """What each turn of each round measured, with the bytes that the Hub sent meanwhile."""
    home = root.parent
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home / "home"),
        "HF_LEROBOT_HOME": str(home / "lerobot"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    told = json.dumps({"root": str(root), "blocks": str(home / "blocks"), "bound": bound, "options": asdict(options)})
    line = [sys.executable, "-m", __name__, told]
    turns: list[dict[str, dict[str, float]]] = []
    sent = hub.sent
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for text in child.stdout:
            turn = json.loads(text)
            if turn.pop("begins"):
                sent = hub.sent
                continue
            kind, number = turn.pop("kind"), turn.pop("round")
            if number == len(turns):
                turns.append({})
            turns[number][kind] = turn | {"sent": hub.sent - sent}
    if child.returncode:
        raise RuntimeError(f"the loaders ended with exit code {child.returncode}; their message stands above.")
    return turns


def _measure(root: Path, blocks: Path, bound: int, options: RemoteOptions) -> None:
    """In the process of the loaders: each turn, told on the standard output as it begins and ends."""
    bar = tqdm(total=3 * options.rounds, desc="measure", unit="turn")
    for number in range(options.rounds):
        for kind in ("local", "cold", "kept"):
            if kind == "cold":
                shutil.rmtree(blocks, ignore_errors=True)
            bar.set_postfix_str(kind)
            mixture = _mixture(root if kind == "local" else None, blocks, bound)
            store = _store(blocks.parent, bound)
            _tell(begins=True)
            samples, seconds = _time(mixture, options)
            _tell(begins=False, kind=kind, round=number, samples=samples, seconds=seconds, used=store.used())
            bar.update()


def _mixture(root: Path | None, blocks: Path, bound: int) -> AssembledMixture:
    """The dataset here, or on the Hub where there is no root."""
    policy = AmbientDiffusionConfig(**peers.POLICY)  # type: ignore[arg-type]
    options = ReadOptions(
        policy.observation_delta_indices,
        policy.action_delta_indices,
        stream=StreamOptions(blocks, bound / 1e9),
    )
    target = Source(REPO, stream=True) if root is None else Source(REPO, root=str(root))
    return make_mixture(target, [], options, recipe_of(policy))


def _time(mixture: AssembledMixture, options: RemoteOptions) -> tuple[int, float]:
    """Samples and seconds of a turn, from the first batch to the last; workers have started by then."""
    ahead = BATCHES_AHEAD * options.batch_size * max(options.workers, 1)
    sampler = mixture.sampler(0, look_ahead=ahead)
    stream = peers.endless(MergedTrainingDataset(mixture), options.batch_size, options.workers, sampler)
    with closing(stream):
        next(stream)
        began = time.perf_counter()
        samples = sum(len(next(stream)["index"]) for _ in range(options.batches))
        return samples, time.perf_counter() - began


def _tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    chosen = RemoteOptions(**told["options"] | {"size": tuple(told["options"]["size"])})
    _measure(Path(told["root"]), Path(told["blocks"]), told["bound"], chosen)
