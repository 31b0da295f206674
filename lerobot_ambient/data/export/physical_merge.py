# SPDX-License-Identifier: Apache-2.0
"""Writes a mixture as one LeRobotDataset, a few episodes at a time, so that a killed merge goes on where it stopped.

OUTPUT.partial/ holds the work:
    merge.json          which merge this is; another one is refused
    episodes-000150/    a complete LeRobotDataset of the first 150 episodes
    .writing/           the next one: the same files as links, and LeRobot's writer adding to them
and the last of them becomes OUTPUT by one rename. LeRobot's writer leaves a parquet file without its footer when it
is killed, so it never works on the only copy; it starts new files whenever it resumes, so links are safe.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import datasets
import numpy as np
import pyarrow.parquet as pq
from huggingface_hub.utils import WeakFileLock
from lerobot.datasets import LeRobotDataset, write_stats
from lerobot.datasets.io_utils import load_info, load_stats
from lerobot.utils.utils import SuppressProgressBars
from numpy.typing import NDArray

from lerobot_ambient.data.files.parquet_rows import to_numpy
from lerobot_ambient.data.normalization.statistics import exact_stats
from lerobot_ambient.data.windows.merged_file import (
    SOURCE,
    TAGS,
    MergedFile,
    load_merged_file,
    write_merged_file,
)

_PART_EPISODES = 50
_CAMERAS = ("image", "video")


class AlignedEpisodes(Protocol):
    """The episodes of a mixture on the target's clock and under its keys, the target's first."""

    @property
    def fps(self) -> int: ...

    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]:
        """LeRobot feature specs, without the tags and without what LeRobot adds itself."""
        ...

    @property
    def robot_type(self) -> str | None: ...

    @property
    def tasks(self) -> list[str]:
        """Every task string of the mixture, in the order of its task_index."""
        ...

    @property
    def lengths(self) -> list[int]:
        """Frames of each episode."""
        ...

    def source(self, episode: int) -> int:
        """Which dataset an episode belongs to; 0 is the target."""
        ...

    def read(self, episode: int) -> dict[str, Any]:
        """The n frames of an episode: per numeric key an array (n, *shape), or (n,) for scalars; per camera an
        iterator over n images (H, W, 3) uint8; "task", n strings; ambient.sigma_min and ambient.sigma_max, (n,)."""
        ...


@dataclass(frozen=True)
class MergeSummary:
    """What was written, and where."""

    root: Path
    repo_id: str
    episodes: int
    frames: int


def write_merge(
    episodes: AlignedEpisodes,
    merged: MergedFile,
    output: Path,
    repo_id: str,
    *,
    part_episodes: int = _PART_EPISODES,
    on_episode: Callable[[int], object] = lambda count: None,
) -> MergeSummary:
    """Write one LeRobotDataset v3.0 with the columns ambient.source, ambient.sigma_min and ambient.sigma_max.

    Calling it again after a kill goes on after the last part that was finished.

    Args:
        episodes: what to write.
        merged: what it is, for `meta/ambient_merge.json`.
        output: a folder that does not exist yet.
        repo_id: name of the new dataset.
        part_episodes: episodes written between two safe points; each part has its own files.
        on_episode: called with the number of episodes just finished, those of an earlier run included.

    Raises:
        ValueError: the output exists, the work folder belongs to another merge or another process, or a feature
            cannot be written.
    """
    output, work = Path(output), Path(f"{output}.partial")
    if part_episodes < 1:
        raise ValueError(f"a part needs at least one episode, got part_episodes={part_episodes}.")
    assert (len(episodes.lengths), sum(episodes.lengths)) == (merged.episodes, merged.frames)
    assert not TAGS.keys() & episodes.features.keys()
    if output.exists() and not work.exists():
        raise ValueError(_exists(output))
    with _held(work):
        if not output.exists():
            _require_same_merge(work, _identity(episodes, merged, repo_id))
            os.replace(_write_parts(episodes, merged, work, repo_id, part_episodes, on_episode), output)
        elif load_merged_file(output) != merged:
            raise ValueError(_exists(output))
        # Otherwise the last run was killed after its last rename, and only this is left to do.
        shutil.rmtree(work)
    return MergeSummary(output, repo_id, merged.episodes, merged.frames)


def _write_parts(
    episodes: AlignedEpisodes,
    merged: MergedFile,
    work: Path,
    repo_id: str,
    size: int,
    on_episode: Callable[[int], object],
) -> Path:
    """Returns the folder with all episodes, which is the complete dataset."""
    hidden, total = work / ".writing", len(episodes.lengths)
    finished = _finished(work)
    done = finished[-1] if finished else 0
    if done:
        on_episode(done)
    while done < total:
        shutil.rmtree(hidden, ignore_errors=True)
        stop = min(done + size, total)
        with _writer(episodes, _part(work, done) if done else None, hidden, repo_id) as dataset:
            for episode in range(done, stop):
                for frame in _frames(episodes, episode):
                    dataset.add_frame(frame)
                # LeRobot's search for images to embed shows a progress bar for every episode.
                with SuppressProgressBars():
                    dataset.save_episode()
                on_episode(1)
        if stop == total:
            _complete(hidden, episodes, merged)
        os.replace(hidden, _part(work, stop))
        done = stop
        for count in _finished(work)[:-1]:
            shutil.rmtree(_part(work, count))
    return _part(work, total)


@contextmanager
def _writer(episodes: AlignedEpisodes, before: Path | None, root: Path, repo_id: str) -> Iterator[LeRobotDataset]:
    """LeRobot's writer on a new dataset, or on a copy of `before`; finalized at the end."""
    cache = root.with_name(".cache")
    # Nothing is decoded here; named, so that LeRobot does not look for its default decoder with every part.
    backend = "pyav"
    if before is None:
        features = {**episodes.features, **TAGS}
        dataset = LeRobotDataset.create(
            repo_id,
            fps=episodes.fps,
            features=features,
            root=root,
            robot_type=episodes.robot_type,
            use_videos=any(spec["dtype"] == "video" for spec in features.values()),
            video_backend=backend,
        )
        # All at once, so that a task's number does not depend on which episode mentions it first.
        dataset.meta.save_episode_tasks(list(episodes.tasks))
    else:
        shutil.copytree(before, root, copy_function=_link)
        shutil.rmtree(cache, ignore_errors=True)
        with _cached_in(cache):
            dataset = LeRobotDataset.resume(repo_id, root=root, video_backend=backend)
    try:
        yield dataset
    finally:
        # After an error too: left to the destructor, it would write later, into whatever is there by then.
        dataset.finalize()
        shutil.rmtree(cache, ignore_errors=True)


def _link(source: str, copy: str) -> None:
    """A hard link, except for the small files of meta/, which LeRobot rewrites in place."""
    if Path(source).parent.name != "meta":
        try:
            os.link(source, copy)
            return
        except OSError:
            pass  # The file system has no links.
    shutil.copy2(source, copy)


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """LeRobot reads the table of episodes into Hugging Face's cache; one copy a part would pile up there for good."""
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = folder
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


def _part(work: Path, count: int) -> Path:
    return work / f"episodes-{count:06d}"


def _finished(work: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("episodes-")) for path in work.glob("episodes-*"))


def _frames(episodes: AlignedEpisodes, episode: int) -> Iterator[dict[str, Any]]:
    """The frames of an episode as LeRobot's add_frame wants them."""
    features = {**episodes.features, **TAGS}
    length = episodes.lengths[episode]
    columns = episodes.read(episode) | {SOURCE: np.full(length, episodes.source(episode))}
    cameras = {key: iter(columns[key]) for key, spec in features.items() if spec["dtype"] in _CAMERAS}
    numbers = {
        key: np.asarray(columns[key]).astype(spec["dtype"], copy=False).reshape(length, *spec["shape"])
        for key, spec in features.items()
        if key not in cameras
    }
    tasks = columns["task"]
    assert len(tasks) == length
    for t in range(length):
        images = {key: next(stream) for key, stream in cameras.items()}
        yield {key: values[t] for key, values in numbers.items()} | images | {"task": tasks[t]}


def _complete(root: Path, episodes: AlignedEpisodes, merged: MergedFile) -> None:
    """Check what was written, give it exact statistics and `meta/ambient_merge.json`."""
    info = load_info(root)
    files = sorted((root / "data").rglob("*.parquet"))

    def column(key: str) -> NDArray[Any]:
        return np.concatenate(
            [to_numpy(pq.read_table(p, columns=[key])[key], info.features[key]["shape"]) for p in files]
        )

    expected = np.repeat([episodes.source(i) for i in range(merged.episodes)], episodes.lengths)
    assert info.total_episodes == merged.episodes and np.array_equal(column(SOURCE), expected), "frames were lost"
    # LeRobot averages the quantiles of episodes, which gives no quantile; of cameras only that estimate exists.
    written = load_stats(root) or {}
    stats = {
        key: written[key] if spec["dtype"] in _CAMERAS else _stats(column(key)) for key, spec in info.features.items()
    }
    write_stats(stats, root)
    write_merged_file(merged, root)
    # Where LeRobot's writer keeps frames before it encodes them; empty by now.
    shutil.rmtree(root / "images", ignore_errors=True)


def _stats(values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Exact statistics in LeRobot's layout: along all axes but the last."""
    numbers = values.astype(np.float32) if values.dtype == np.bool_ else values
    flat = numbers.reshape(-1, numbers.shape[-1] if numbers.ndim > 1 else 1)
    return {**exact_stats(flat), "count": np.array([len(values)])}


def _identity(episodes: AlignedEpisodes, merged: MergedFile, repo_id: str) -> dict[str, Any]:
    """What makes two merges the same; through JSON, so that it compares with what was stored."""
    values = {
        "repo_id": repo_id,
        "fps": episodes.fps,
        "robot_type": episodes.robot_type,
        "features": {key: {**spec, "shape": list(spec["shape"])} for key, spec in episodes.features.items()},
        "tasks": list(episodes.tasks),
        "lengths": list(episodes.lengths),
        **merged.to_dict(),
    }
    same: dict[str, Any] = json.loads(json.dumps(values))
    return same


def _require_same_merge(work: Path, identity: dict[str, Any]) -> None:
    path = work / "merge.json"
    # Before the first part is finished there is nothing to mix up, and a fixed setting may be tried again.
    if not path.is_file() or not _finished(work):
        partial = path.with_name(f".{path.name}")
        partial.write_text(json.dumps(identity, indent=2), encoding="utf-8")
        os.replace(partial, path)
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(key for key in begun.keys() | identity.keys() if begun.get(key) != identity.get(key))
    if changed:
        listing = "\n".join(f"  {key}: {_short(begun.get(key))}; now {_short(identity.get(key))}" for key in changed)
        raise ValueError(
            f"{work} holds the beginning of another merge:\n{listing}\nGo on with the settings it was begun with, "
            "or remove the folder, or name another output."
        )


def _exists(output: Path) -> str:
    return f"{output} exists, and a merge never writes over anything; remove it or name another output."


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


@contextmanager
def _held(work: Path) -> Iterator[None]:
    """Keep a second process out of the work folder; the system lets go of it when this process dies.

    Raises:
        ValueError: another process holds it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(work / "lock", timeout=0.1))
        except TimeoutError as error:
            raise ValueError(f"another process is merging into {work}; wait for it, or name another output.") from error
        yield
