# SPDX-License-Identifier: Apache-2.0
"""The episodes as a rerun recording, which LeRobot's users know from `lerobot-dataset-viz`.

Each episode is a folder of entities, `<role>/<dataset>/episode_<n>`; the timelines `frame_index` and `timestamp` are
LeRobot's. Series of joints are called as in the dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.figures.style import SOURCE, TARGET, WINDOW
from lerobot_ambient.integration.viewing.page_files import WRITTEN_EPISODES, worst
from lerobot_ambient.integration.viewing.pictures import WRITTEN_WIDTH, Pictures, spread_pictures
from lerobot_ambient.integration.viewing.shown import ShownEpisode, View

_SHORT = {ACTION: "action", "observation.state": "state"}
_COLOURS = {"target": TARGET, "source": SOURCE, "rollouts": "#9C4F7D"}


@dataclass(frozen=True)
class Recording:
    """What a recording holds.

    Args:
        path: of the file.
        episodes: how many are in it, and
        pictures: how many frames of cameras.
    """

    path: Path
    episodes: int
    pictures: int


def require_recording(path: Path) -> None:
    """Refuse a file that no recording can be written to, and a missing rerun, before the work.

    Raises:
        ValueError: another name than rerun's.
        ModuleNotFoundError: rerun is not installed.
    """
    import rerun  # noqa: F401

    if path.suffix != ".rrd" or path.is_dir():
        raise ValueError(f"--rerun={path} is no recording's name; write e.g. --rerun={path.with_suffix('.rrd')}.")


def write_recording(view: View, path: Path, *, images: int, say: Callable[[str], None] = lambda _: None) -> Recording:
    """Write the episodes that look worst, at most 40 of each dataset.

    Args:
        view: what is shown.
        path: of the file, ending in .rrd.
        images: frames of cameras that are written, over all episodes and cameras.
        say: is told what begins.

    Raises:
        ValueError: another name than rerun's.
        ModuleNotFoundError: rerun is not installed.
    """
    import rerun as rr

    require_recording(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    episodes = worst(view, WRITTEN_EPISODES)
    frames, pictures = spread_pictures(view, episodes, images), Pictures(view, WRITTEN_WIDTH)
    say(f"writing {len(episodes)} episodes for rerun")
    count = 0
    stream = rr.RecordingStream(f"lerobot_ambient/{view.sources[0].name}")
    stream.save(path, default_blueprint=_blueprint(view, episodes[0]))
    for one in episodes:
        _log_numbers(stream, view, one)
        for key in view.cameras:
            if not view.has_camera(one.dataset, key):
                continue
            for frame in frames[one]:
                _at(stream, frame, view.sources[one.dataset].fps)
                encoded = rr.EncodedImage(contents=pictures.jpeg(one, frame, key), media_type="image/jpeg")
                stream.log([*_entity(view, one), key], encoded)
                count += 1
    stream.flush()
    stream.disconnect()
    return Recording(path, len(episodes), count)


def _entity(view: View, one: ShownEpisode) -> list[str]:
    """Parts of the path; rerun escapes what is special in a name."""
    return [view.role(one.dataset), view.sources[one.dataset].name, f"episode_{one.episode}"]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _at(stream: Any, frame: int, fps: float) -> None:
    stream.set_time("frame_index", sequence=frame)
    stream.set_time("timestamp", duration=frame / fps)


def _log_numbers(stream: Any, view: View, one: ShownEpisode) -> None:
    import rerun as rr

    path, rows = _entity(view, one), view.rows(one)
    count = rows.stop - rows.start
    times = [
        rr.TimeColumn("frame_index", sequence=np.arange(count)),
        rr.TimeColumn("timestamp", duration=np.arange(count) / view.sources[one.dataset].fps),
    ]

    def series(parts: list[str], values: Any, colour: str, label: str) -> None:
        entity = "/".join([*map(rr.escape_entity_path_part, path), *map(rr.escape_entity_path_part, parts)])
        stream.log(entity, rr.SeriesLines(colors=[_rgb(colour)], names=[label]), static=True)
        stream.send_columns(entity, indexes=times, columns=rr.Scalars.columns(scalars=values))

    ink = _COLOURS[view.role(one.dataset)]
    for key, names in view.names.items():
        values = view.values(key, one.dataset, rows)
        for dimension, name in enumerate(names):
            if not np.isnan(values[:, dimension]).any():
                series([_SHORT[key], name], values[:, dimension], ink, f"{_SHORT[key]} {name}")
    window = view.windows[one.dataset]
    if window.sigma_min is not None and window.sigma_max is not None:
        for name, bound in (("sigma_min", window.sigma_min), ("sigma_max", window.sigma_max)):
            series(["window", name], bound[rows].astype(np.float64), WINDOW, name)
    sticks_out = "; ".join(one.why) if one.odd else "it does not stick out of its dataset"
    text = f"score {one.score:.2f} (above 1 an episode sticks out of its dataset): {sticks_out}"
    stream.log([*path, "why"], rr.TextDocument(text), static=True)


def _blueprint(view: View, first: ShownEpisode) -> Any:
    """The episode that looks worst: its cameras, its joints and its window."""
    import rerun as rr
    import rerun.blueprint as rrb

    origin = "/".join(["", *map(rr.escape_entity_path_part, _entity(view, first))])
    cameras = [
        rrb.Spatial2DView(origin=f"{origin}/{rr.escape_entity_path_part(key)}", name=key)
        for key in view.cameras
        if view.has_camera(first.dataset, key)
    ]
    numbers = [rrb.TimeSeriesView(origin=f"{origin}/{_SHORT[key]}", name=_SHORT[key]) for key in view.names]
    window = [rrb.TimeSeriesView(origin=f"{origin}/window", name="window")]
    return rrb.Blueprint(rrb.Vertical(*([rrb.Horizontal(*cameras)] if cameras else []), *numbers, *window))
