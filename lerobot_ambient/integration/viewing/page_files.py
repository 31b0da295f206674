# SPDX-License-Identifier: Apache-2.0
"""The page's files, and the page with its data as a folder that opens without a server.

The page itself holds no name of a dataset: everything comes as data and is set as text. From a server it fetches JSON;
from a folder, where browsers fetch nothing, each piece of data is a script that hands its JSON over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.integration.viewing.pictures import WRITTEN_WIDTH, Pictures, spread_pictures
from lerobot_ambient.integration.viewing.shown import ShownEpisode, View

WRITTEN_EPISODES = 40
"""Of each dataset, those that look worst; what is written is meant to be sent around."""
ASSETS = {
    "view.css": "text/css; charset=utf-8",
    "data.js": "text/javascript; charset=utf-8",
    "drawing.js": "text/javascript; charset=utf-8",
    "chunk.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
}
_KIND, _WRITTEN_KIND = 'data-kind="live"', 'data-kind="folder"'
_DATA, _FRAMES = "data", "frames"


@dataclass(frozen=True)
class Written:
    """What a folder holds.

    Args:
        page: path of its index.html.
        episodes: how many are in it, and
        pictures: how many frames of cameras.
        bytes: of everything.
    """

    page: Path
    episodes: int
    pictures: int
    bytes: int


def asset(name: str) -> bytes:
    """One of the page's files: view.html or one of `ASSETS`."""
    return resources.files("lerobot_ambient.integration.viewing").joinpath("page", name).read_bytes()


def episode_name(one: ShownEpisode) -> str:
    """What the data of an episode is called."""
    return f"episode-{one.dataset}-{one.episode}"


def frame_name(one: ShownEpisode, frame: int, camera: int) -> str:
    """What the picture of a frame is called."""
    return f"{one.dataset}-{one.episode}-{frame}-{camera}.jpg"


def worst(view: View, most: int = WRITTEN_EPISODES) -> list[ShownEpisode]:
    """The episodes of each dataset that are written, in the order of the list."""
    left = [most] * len(view.sources)
    kept = []
    for one in view.episodes:
        if left[one.dataset] > 0:
            left[one.dataset] -= 1
            kept.append(one)
    return kept


def require_folder(folder: Path) -> None:
    """Refuse a place that the page cannot be written to, before the work.

    Raises:
        ValueError: a file, or a folder of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output-dir={folder} is a file; give the folder that the page is to be written into.")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise ValueError(f"--output-dir={folder} holds other files; give a new folder, or one that view wrote.")


def _is_ours(folder: Path) -> bool:
    # Its `data` is removed: a file called view.js may be anybody's, this page is not.
    page = folder / "index.html"
    return page.is_file() and _WRITTEN_KIND in page.read_text(encoding="utf-8", errors="replace")


def write_page(view: View, folder: Path, *, images: int, say: Callable[[str], None] = lambda _: None) -> Written:
    """Write index.html, its files, and the data of the episodes that look worst.

    Args:
        view: what is shown.
        folder: to write into; what an earlier view wrote there is replaced.
        images: frames of cameras that are written, over all episodes and cameras.
        say: is told what begins.

    Raises:
        ValueError: the folder holds something else.
    """
    require_folder(folder)
    for part in (_DATA, _FRAMES):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    episodes = worst(view)
    frames = spread_pictures(view, episodes, images)
    index = view.index()
    kept = {(one.dataset, one.episode) for one in episodes}
    index["episodes"] = [one for one in index["episodes"] if (one["dataset"], one["episode"]) in kept]
    index["notes"] = [*_left_out(view, episodes, sum(map(len, frames.values()))), *index["notes"]]
    files = {f"{_DATA}/index.js": _script("index", index)}
    say(f"writing {len(episodes)} episodes")
    for one in episodes:
        name = episode_name(one)
        files[f"{_DATA}/{name}.js"] = _script(name, {**view.episode(one), "pictures": frames[one]})
    size, pictures = _write(folder, files), Pictures(view, WRITTEN_WIDTH)
    count = 0
    for one in episodes:
        for camera, key in enumerate(view.cameras):
            if not frames[one] or not view.has_camera(one.dataset, key):
                continue
            made = {f"{_FRAMES}/{frame_name(one, n, camera)}": pictures.jpeg(one, n, key) for n in frames[one]}
            size, count = size + _write(folder, made), count + len(made)
    # The page last: whoever opens it finds everything.
    html = asset("view.html").decode().replace(_KIND, _WRITTEN_KIND)
    size += _write(folder, {**{name: asset(name) for name in ASSETS}, "index.html": html.encode()})
    return Written(folder / "index.html", len(episodes), count, size)


def _left_out(view: View, episodes: Sequence[ShownEpisode], frames: int) -> list[str]:
    notes = []
    if len(episodes) < len(view.episodes):
        notes.append(
            f"{len(episodes)} of {len(view.episodes)} episodes are in this folder, of each dataset the "
            f"{WRITTEN_EPISODES} that look worst."
        )
    if view.cameras:
        whole = sum(one.frames for one in episodes)
        notes.append(f"pictures of {frames} of {whole} frames are in this folder; the nearest is shown.")
    return notes


def _script(name: str, value: dict[str, Any]) -> bytes:
    return f"viewData({json.dumps(name)}, {json_text(value)});\n".encode()


def json_text(value: dict[str, Any]) -> str:
    """JSON that is safe inside a script too: numbers that are none are refused, and no tag can begin."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _write(folder: Path, files: dict[str, bytes]) -> int:
    for name, content in files.items():
        replace_file(folder / name, content)
    return sum(map(len, files.values()))
