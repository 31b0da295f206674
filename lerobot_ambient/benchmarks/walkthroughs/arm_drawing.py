# SPDX-License-Identifier: Apache-2.0
"""A recorded episode of an SO-100 or SO-101 as a picture: the arm from the side and from above, its joints over time.

A GIF moves; a PNG shows the arm at some moments, the earlier the fainter. What is drawn is the recorded state; the
actions, that is the goals, are dashed curves. It works for a recording of a hand and for one of a policy alike.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.dimension_names import dimension_names
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.data.reading.column_reader import read_columns
from lerobot_ambient.data.reading.open_dataset import open_metadata
from lerobot_ambient.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, styled, subplots, write_figure
from lerobot_ambient.testing.virtual_arm.geometry import links, moving_tip
from lerobot_ambient.testing.virtual_arm.joints import JOINTS, places_of_joints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATE, ACTION = "observation.state", "action"
NAMES = tuple(joint.name for joint in JOINTS)
_JOINT_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_MOST_FRAMES = 150
_GIF_FPS = 10
_POSES = 7


@dataclass(frozen=True, eq=False)
class ArmEpisode:
    """One recorded episode.

    Args:
        name: of the dataset.
        number: of the episode.
        fps: frames a second.
        state: (T, 6) recorded angles, in degrees and for the gripper in percent, in the order of `NAMES`.
        goals: (T, 6) the actions; None where they are not the joints'.
    """

    name: str
    number: int
    fps: float
    state: NDArray[np.float64]
    goals: NDArray[np.float64] | None


def read_arm_episode(root: Path, number: int = 0) -> ArmEpisode:
    """Read one episode of a recording.

    Raises:
        ValueError: there is no dataset or no such episode, it is broken, or its state is not this arm's six joints.
    """
    if not (root / "meta" / "info.json").is_file():
        raise ValueError(f"{root} is no LeRobot dataset: it has no meta/info.json.")
    meta = open_metadata(Source(repo_id=root.name, root=str(root)), root.name)
    if STATE not in meta.features:
        raise ValueError(f"{root} has no {STATE}; it has {', '.join(meta.features)}.")
    held = sorted(EpisodeTable(meta).number.tolist())
    if number not in held:
        raise ValueError(f"{root} has no episode {number}; its {len(held)} episodes go from {held[0]} to {held[-1]}.")
    places = {
        key: places_of_joints(dimension_names(meta.features[key])) for key in (STATE, ACTION) if key in meta.features
    }
    if places[STATE] is None:
        raise ValueError(
            f"{root}: {STATE} is {', '.join(dimension_names(meta.features[STATE]))}; only the six joints of an SO-100 "
            f"or SO-101 can be drawn: {', '.join(NAMES)}."
        )
    known = {key: place for key, place in places.items() if place is not None}
    shapes = {key: meta.features[key]["shape"] for key in (*known, "episode_index", "frame_index")}
    read = read_columns(meta, [number], shapes, finite=list(known))
    if read.broken:
        raise ValueError(f"{root}: episode {number} cannot be read: {read.broken[number]}.")
    columns = {key: np.asarray(read.columns[key], dtype=np.float64)[:, place] for key, place in known.items()}
    return ArmEpisode(root.name, number, float(meta.fps), columns[STATE], columns.get(ACTION))


@styled
def draw_arm_episode(episode: ArmEpisode, path: Path) -> Path:
    """Draw `episode` into `path`, a .gif or a .png.

    Raises:
        ValueError: another kind of file.
        ModuleNotFoundError: matplotlib is not installed.
    """
    if path.suffix.lower() not in (".gif", ".png"):
        raise ValueError(f"{path} is neither a .gif nor a .png.")
    scene = _Scene(episode)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        moments = np.linspace(0, len(episode.state) - 1, _POSES).round().astype(int)
        for index, moment in enumerate(moments):
            scene.add_pose(moment, 0.15 + 0.85 * (index + 1) / len(moments))
        return write_figure(scene.figure, path)
    stride = max(1, round(episode.fps / _GIF_FPS), -(-len(episode.state) // _MOST_FRAMES))
    frames = [scene.frame(moment) for moment in range(0, len(episode.state), stride)]
    first, *others = frames
    milliseconds = round(1000 * stride / episode.fps)
    content = io.BytesIO()
    first.save(content, "gif", save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=True)
    replace_file(path, content.getvalue())
    return path


class _Scene:
    """The panels with everything that stands still, and the arm on top."""

    def __init__(self, episode: ArmEpisode) -> None:
        self._episode = episode
        self.figure, axes = _panels()
        self._side, self._above, self._curves = axes
        angles = [dict(zip(NAMES, row, strict=True)) for row in episode.state]
        self._points = np.array([[*links(one), moving_tip(one)] for one in angles])
        self._pan = np.radians(episode.state[:, 0])
        self.figure.suptitle(f"{episode.name}, episode {episode.number}, {len(episode.state) / episode.fps:.1f} s")
        reach = 100 * max(0.3, float(np.abs(self._points).max()) + 0.03)
        self._side.set(title="from the side", xlabel="forward (cm)", ylabel="up (cm)", aspect="equal")
        self._side.set(xlim=(-0.45 * reach, reach), ylim=(-0.12 * reach, reach))
        self._side.axhline(0.0, color="#999999", lw=2)
        self._above.set(title="from above", xlabel="left (cm)", aspect="equal", xlim=(reach, -reach))
        self._above.set_ylim(-0.45 * reach, reach)
        self._draw_curves()
        self._background: Any = None
        self._cursor = self._curves.axvline(0.0, color="black", lw=0.8, visible=False)
        self._moving = [*self._pose(0, 1.0), self._cursor]
        for artist in self._moving:
            artist.set_visible(False)

    def add_pose(self, moment: int, alpha: float) -> None:
        """Draw the arm at frame `moment`, to stay."""
        self._pose(moment, alpha)
        self._curves.axvline(moment / self._episode.fps, color="black", lw=0.8, alpha=alpha)

    def frame(self, moment: int) -> Any:
        """The picture at frame `moment`; what stands still is drawn once."""
        from PIL import Image

        canvas: Any = self.figure.canvas
        if self._background is None:
            canvas.draw()
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        canvas.restore_region(self._background)
        for artist, (xs, ys) in zip(self._moving, [*self._lines(moment), self._now(moment)], strict=True):
            artist.set_data(xs, ys)
            artist.set_visible(True)
            artist.axes.draw_artist(artist)
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        return pixels.quantize(64, dither=Image.Dither.NONE)

    def _pose(self, moment: int, alpha: float) -> list[Any]:
        styles: list[dict[str, Any]] = [
            {"color": "#333333", "lw": 4, "marker": "o", "ms": 5, "mfc": "white"},
            {"color": VERMILION, "lw": 3},
            {"color": VERMILION, "lw": 3},
            {"color": "#333333", "lw": 4, "marker": "o", "ms": 5, "mfc": "white"},
        ]
        panels = (self._side, self._side, self._side, self._above)
        drawn = []
        for panel, (xs, ys), style in zip(panels, self._lines(moment), styles, strict=True):
            drawn += panel.plot(xs, ys, alpha=alpha, solid_capstyle="round", **style)
        return drawn

    def _lines(self, moment: int) -> list[tuple[Any, Any]]:
        """Arm, fixed jaw and moving jaw from the side, and the arm from above; in cm."""
        points = 100 * self._points[moment]
        arm, fixed, moving = points[:5], points[[4, 5]], points[[4, 6]]
        turn = self._pan[moment]
        flat = points[[0, 1, 2, 3, 5], 0]
        above = (flat * np.sin(turn), flat * np.cos(turn))
        return [(arm[:, 0], arm[:, 1]), (fixed[:, 0], fixed[:, 1]), (moving[:, 0], moving[:, 1]), above]

    def _now(self, moment: int) -> tuple[list[float], list[float]]:
        return [moment / self._episode.fps] * 2, [0.0, 1.0]

    def _draw_curves(self) -> None:
        episode, axis = self._episode, self._curves
        seconds = np.arange(len(episode.state)) / episode.fps
        for index, (name, colour) in enumerate(zip(NAMES, _JOINT_COLOURS, strict=True)):
            axis.plot(seconds, episode.state[:, index], color=colour, lw=1.3, label=name)
            if episode.goals is not None:
                axis.plot(seconds, episode.goals[:, index], color=colour, lw=0.8, ls="--")
        axis.set(xlabel="seconds", ylabel="degrees (gripper: percent)", xlim=(0, max(seconds[-1], 1 / episode.fps)))
        goals = "" if episode.goals is None else "dashed: action"
        axis.legend(title=goals, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _panels() -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    figure, grid = subplots(2, 2, figsize=(8.0, 6.0))
    above_curves = grid[0]
    places = grid[1, 0].get_gridspec()
    for axis in grid[1]:
        axis.remove()
    return figure, (above_curves[0], above_curves[1], figure.add_subplot(places[1, :]))
