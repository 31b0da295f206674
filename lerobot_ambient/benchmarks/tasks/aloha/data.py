# SPDX-License-Identifier: Apache-2.0
"""The demonstrations of ALOHA's cube transfer as two LeRobotDatasets with a camera: a few good ones, many clumsy ones.

Keys, sizes and frame rate are those that `lerobot-eval --env.type=aloha` feeds a policy with, so a policy trained on
them runs there as it is. The record of a dataset lists the seed of each episode's reset: with it and the recorded
actions the stock environment repeats the episode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.aloha.demonstrations import LIMIT, STYLES, Played, demonstration
from lerobot_ambient.benchmarks.tasks.aloha.scene import CAMERA, FPS, HEIGHT, NAMES, WIDTH, AlohaScene
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    require_at_least,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

TASK = "Pick up the cube with the right arm and hand it to the left."
REPO_IDS: dict[Kind, str] = {"target": "ambient/aloha_target", "source": "ambient/aloha_source"}
PICTURE = f"observation.images.{CAMERA}"
VERSION = 1
"""Raise it when the same arguments would give other demonstrations."""
_ENCODER = {"vcodec": "h264", "preset": "veryfast", "crf": 20}
"""LeRobot's default (AV1) takes several times as long on two cores."""


@dataclass(frozen=True)
class Film:
    """A demonstration with its pictures.

    Args:
        played: the motion.
        attempts: how many were made until one succeeded, this one included.
        pictures: uint8 (frames, height, width, 3), at the states.
    """

    played: Played
    attempts: int
    pictures: NDArray[np.uint8]


def filmed(number: int, kind: Kind, seed: int, size: tuple[int, int]) -> Film:
    """Demonstration `number` of a kind and its pictures of `size` (height, width), pure in the arguments."""
    played, attempts = demonstration(number, kind, seed)
    scene = AlohaScene()
    return Film(played, attempts, np.stack([scene.picture_of(qpos, *size) for qpos in played.qpos]))


def _films(kind: Kind, count: int, seed: int, size: tuple[int, int], processes: int) -> Iterator[Film]:
    """The first `count` films of a kind, in order; `processes` does not change them.

    Not more than `processes` + 1 wait in memory: one has a quarter of a gigabyte.
    """
    make = partial(filmed, kind=kind, seed=seed, size=size)
    if processes == 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        running: deque[Future[Film]] = deque()
        for number in range(count):
            running.append(pool.submit(make, number))
            if len(running) > processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def make_aloha_data(
    root: Path,
    *,
    target_episodes: int = 50,
    source_episodes: int = 200,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    height: int = HEIGHT,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the target and source demonstrations of ALOHA's cube transfer to `root/target` and `root/source`.

    A picture takes a tenth of a second without a GPU, so an episode takes half a minute. Calling it again
    with the same arguments returns at once; after a kill it makes the dataset that is missing, from its beginning.

    Args:
        root: parent folder of the two datasets.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        height: of the pictures, in pixels, even, at least 48; the width is 4/3 of it, rounded to an even number. The
            environment shows 480 x 640. A policy whose `resize_shape` brings both to one size can be trained on less.
        processes: how many episodes are made side by side, at least 1.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, episodes, frames, attempts, mean_squared_acceleration (of the
        twelve joints, the mean over episodes, in rad^2 / s^4) and reset_seeds.

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    require_at_least(
        "make_aloha_data",
        target_episodes=(target_episodes, 1),
        source_episodes=(source_episodes, 1),
        seed=(seed, 0),
        height=(height, 48),
        processes=(processes, 1),
    )
    if height % 2:
        raise ValueError(f"make_aloha_data: height is {height}, must be even, because the video format asks for it")
    size = height, 2 * round(height * WIDTH / HEIGHT / 2)
    arguments = {kind: _arguments(kind, counts[kind], seed, size) for kind in kinds}
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        made = _films(kind, counts[kind], seed, size, processes)
        _write(root / kind, arguments[kind], tqdm(made, f"film {kind}", counts[kind], disable=not progress), size)
    return summaries_of(root, arguments)


def _features_of(size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """LeRobot's features of a dataset with pictures of `size` (height, width)."""
    joints = {"dtype": "float32", "shape": (len(NAMES),), "names": list(NAMES)}
    picture = {"dtype": "video", "shape": (*size, 3), "names": ["height", "width", "channels"]}
    return {"observation.state": joints, "action": joints, PICTURE: picture}


def _arguments(kind: Kind, episodes: int, seed: int, size: tuple[int, int]) -> dict[str, Any]:
    style = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(STYLES[kind]).items()}
    return {
        "version": VERSION,
        "experiment": "aloha",
        "kind": kind,
        "episodes": episodes,
        "seed": seed,
        "size": list(size),
        "style": style,
        "limit": LIMIT,
    }


def _write(folder: Path, arguments: dict[str, Any], made: Iterator[Film], size: tuple[int, int]) -> None:
    kind: Kind = arguments["kind"]
    summary: dict[str, Any] = {"root": folder.name, "repo_id": REPO_IDS[kind], "episodes": arguments["episodes"]}
    films_of = {"frames": 0, "attempts": 0}
    accelerations, seeds = [], []

    def write(partial: Path) -> None:
        dataset = LeRobotDataset.create(
            REPO_IDS[kind], FPS, _features_of(size), root=partial, rgb_encoder=RGBEncoderConfig(**_ENCODER)
        )
        for film in made:
            played = film.played
            for state, action, picture in zip(played.states, played.actions, film.pictures, strict=True):
                dataset.add_frame({"observation.state": state, "action": action, PICTURE: picture, "task": TASK})
            dataset.save_episode()
            films_of["frames"] += len(played.actions)
            films_of["attempts"] += film.attempts
            accelerations.append(mean_squared_acceleration(np.delete(played.actions, [6, 13], axis=1), FPS))
            seeds.append(played.seed)
        dataset.finalize()
        summary.update(films_of, mean_squared_acceleration=float(np.mean(accelerations)), reset_seeds=seeds)

    write_recorded(folder, arguments, summary, write)
