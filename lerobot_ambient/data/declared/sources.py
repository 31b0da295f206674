# SPDX-License-Identifier: Apache-2.0
"""How a user declares a source: `--policy.sources='[{repo_id: me/sim, sigma_min: 0.3}]'`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.data.catalogue.library import unpinned
from lerobot_ambient.data.catalogue.resolve import Beside, resolved, stands_for
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig, check_gain
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig

NORMALIZATIONS = ("target", "own")
ACTION_TYPES = ("absolute", "delta")


@dataclass(repr=False)
class Source:
    """One suboptimal dataset and the noise levels at which it may teach.

    >>> la.Source("me/sim", root="data/sim", sigma_min=0.3)
    Source('me/sim', root='data/sim', sigma_min=0.3)

    Args:
        repo_id: dataset on the Hub, or the name of a local one.
        root: its folder; LeRobot's own cache when None.
        revision: branch, tag or commit on the Hub.
        episodes: which of its episodes to use; all when None.
        weight: multiplies its size where datasets share a noise level; positive.
        sigma_min: VP level in [0, 1]; strictly above it the source teaches. 0 admits everything.
        sigma_max: VP level in [0, 1]; strictly below it the source teaches (locality). 0 admits nothing below.
        windows: parquet file with a window per frame; "meta/ambient_windows.parquet" is looked up in the
            dataset's own folder first. Excludes sigma_min and sigma_max.
        rename: keys of this dataset to the target's keys, e.g. {actions: action}.
        dimension_names: per target key, the names of its dimensions in their order, where its own info.json has none,
            or others than it should; they replace those.
        dimensions: per target key, per target dimension, where its numbers come from; see DimensionConfig.
            Dimensions of the same name need no entry.
        cameras: per target camera, how it is fitted, or what stands for it; see CameraConfig.
        normalization: whose statistics normalise its actions and observations: target or own.
        fps: frames per second, where the dataset's own info.json is wrong (or to replay it at another speed).
        action_type: absolute or delta (each action is a step from the state of its frame); guessed when None.
        action_gain: how far a step of 1 moves the state, a number or one for each of the target's dimensions; for steps
            in a unit of their own, such as a controller's [-1, 1]. 1 when None, refused where measured otherwise.
        end_effector: where its end-effector poses are, beside a target that has `policy.target_end_effector`; see
            EndEffectorConfig. Its kind of actions is said there, not in action_type and action_gain.
        skip_broken: leave out episodes that cannot be read instead of refusing the dataset.
        holdout: share in [0, 1) of the episodes that are kept from training, evenly spaced over the dataset; beside
            dataset.eval_split their loss is logged.
        group: what it counts to where there are many sources: logs tell of groups, and held-out maps judge them
            together. When None its robot's, by its catalogue entry or its info.json, or else its owner on the Hub.
        catalogue: entry of the catalogue (`lerobot-ambient catalogue` lists them), or a YAML file of your own. It gives
            repo_id, revision, rename, dimension_names, action_type, action_gain, group and bgr where they are not said
            here.
        bgr: its own keys of cameras whose red and blue are swapped in the recording; they are swapped back as they are
            read. With catalogue those of its entry when None.
        views: with catalogue, which of its cameras becomes which of the target's, by what they look from: {wrist:
            observation.images.wrist, third_person: observation.images.front}. One that it lacks is black.
        stream: leave its videos on the Hub and read the frames that are drawn from there, through a bounded cache on
            disk; its numbers are fetched.
    """

    repo_id: str = ""
    root: str | None = None
    revision: str | None = None
    episodes: list[int] | None = None
    weight: float = 1.0
    sigma_min: float | None = None
    sigma_max: float | None = None
    windows: str | None = None
    rename: dict[str, str] = field(default_factory=dict)
    dimension_names: dict[str, list[str]] = field(default_factory=dict)
    dimensions: dict[str, dict[str, DimensionConfig]] = field(default_factory=dict)
    cameras: dict[str, CameraConfig] = field(default_factory=dict)
    normalization: str = "target"
    fps: float | None = None
    action_type: str | None = None
    action_gain: float | dict[str, float] | None = None
    end_effector: EndEffectorConfig | None = None
    skip_broken: bool = False
    holdout: float = 0.0
    group: str | None = None
    catalogue: str | None = None
    views: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    bgr: list[str] | None = None

    def __post_init__(self) -> None:
        self._take_from_catalogue()
        if not self.repo_id:
            raise ValueError("a source needs a repo_id, e.g. sources: [{repo_id: me/sim, sigma_min: 0.3}].")
        if not 0.0 < self.weight < float("inf"):
            raise ValueError(f"source '{self.repo_id}': weight must be positive and finite, got {self.weight}.")
        check_episodes(self.repo_id, self.episodes)
        for name, value, known in (
            ("normalization", self.normalization, NORMALIZATIONS),
            ("action_type", self.action_type, (None, *ACTION_TYPES)),
        ):
            if value not in known:
                choices = ", ".join(str(choice) for choice in known if choice is not None)
                raise ValueError(f"source '{self.repo_id}': {name} must be one of {choices}; got '{value}'.")
        if self.fps is not None and not 0.0 < self.fps < float("inf"):
            raise ValueError(f"source '{self.repo_id}': fps must be positive and finite, got {self.fps}.")
        if not 0.0 <= self.holdout < 1.0:
            raise ValueError(
                f"source '{self.repo_id}': holdout is the share of its episodes that are kept from training, from "
                f"0 to below 1, e.g. holdout: 0.1; got {self.holdout}."
            )
        if self.stream and self.root is not None:
            raise ValueError(
                f"'{self.repo_id}': stream reads from the Hub, and root={self.root} is a folder here; remove one of "
                "the two (--dataset.streaming and --dataset.root for the target)."
            )
        check_gain(self.action_gain, f"'{self.repo_id}': action_gain")
        if self.action_gain is not None and self.action_type == "absolute":
            raise ValueError(
                f"'{self.repo_id}': action_gain is of steps, and its action_type is absolute; remove one of the two."
            )
        if self.end_effector is not None and self.catalogue is None:
            self.end_effector.require_whole(f"source '{self.repo_id}'")
        if self.end_effector is not None and (self.action_type, self.action_gain) != (None, None):
            raise ValueError(
                f"'{self.repo_id}': with end_effector the kind and the scale of its actions are said in "
                "end_effector.action (kind, position_scale, rotation_scale); remove action_type and action_gain."
            )
        if self.windows is not None and (self.sigma_min is not None or self.sigma_max is not None):
            raise ValueError(
                f"source '{self.repo_id}' has both a windows file ({self.windows}) and sigma_min={self.sigma_min}, "
                f"sigma_max={self.sigma_max}; keep one of them."
            )
        window = self._declared_window()
        if window is not None and window.is_nothing:
            raise ValueError(
                f"source '{self.repo_id}': its window admits nothing (sigma_min=1 and sigma_max=0), so it would never "
                "be drawn; lower sigma_min, raise sigma_max, or remove the source."
            )

    def __repr__(self) -> str:
        """As it would be written: what is not said has its default."""
        said = self.said()
        words = [repr(said.pop("repo_id"))] if "repo_id" in said else []
        return f"Source({', '.join([*words, *(f'{name}={value!r}' for name, value in said.items())])})"

    def said(self) -> dict[str, Any]:
        """The options that have to be written to have this source: neither defaults, nor what its entry says."""
        said: dict[str, Any] = {} if self.catalogue is None else {"catalogue": self.catalogue}
        for one in fields(self):
            default = one.default if one.default_factory is MISSING else one.default_factory()
            if getattr(self, one.name) != default:
                said[one.name] = getattr(self, one.name)
        taken = {} if self.catalogue is None else stands_for(self.catalogue, self._beside)
        if not taken:
            return said
        said["catalogue"] = unpinned(str(self.catalogue))[0]
        for name, value in taken.items():
            if name in _MERGED and name in said:
                said[name] = {key: one for key, one in said[name].items() if _plain(one) != value.get(key)}
            if said.get(name) == value or said.get(name) == {}:
                del said[name]
        return said

    def has_swapped(self, own: str | None) -> bool:
        """Whether red and blue of a camera are swapped in the recording, by its own key."""
        return own in (self.bgr or ())

    @property
    def _beside(self) -> Beside:
        return Beside(self.views, self.rename, self.repo_id)

    def _take_from_catalogue(self) -> None:
        """What the entry says and this source does not; once, after which its name is pinned."""
        if self.catalogue is None:
            if self.views:
                raise ValueError(
                    f"source '{self.repo_id}' has views {self.views} and no catalogue entry that says which of its "
                    "cameras these are; add catalogue, or rename the cameras with rename."
                )
            return
        name, digest = unpinned(self.catalogue)
        if digest is not None:
            if not self.repo_id:
                raise ValueError(
                    f"the source has catalogue '{self.catalogue}', whose options were written down beside it once, and "
                    f"no repo_id; write `catalogue: {name}` to take them from the entry again."
                )
            return
        self.catalogue, options = resolved(name, self._beside)
        if self.action_type == "absolute":
            options.pop("action_gain", None)
        if self.end_effector is not None:
            # It says itself what the actions are.
            options = {key: value for key, value in options.items() if key not in ("action_type", "action_gain")}
        for key, value in options.items():
            own = getattr(self, key)
            if key == "cameras":
                self.cameras = _cameras(own, value)
            elif key in _MERGED:
                setattr(self, key, value | own)
            elif own is None or own == "":
                setattr(self, key, value)
        if not self.repo_id:
            raise ValueError(
                f"the catalogue entry '{name}' names no dataset on the Hub, since no converted copy is known: convert "
                f"one, and write its name and folder beside it, {{catalogue: {name}, repo_id: me/mine, root: FOLDER}}."
            )

    def _declared_window(self) -> Window | None:
        if self.sigma_min is None and self.sigma_max is None:
            return None
        try:
            return Window(
                sigma_min=1.0 if self.sigma_min is None else self.sigma_min,
                sigma_max=0.0 if self.sigma_max is None else self.sigma_max,
            )
        except ValueError as error:
            raise ValueError(f"source '{self.repo_id}': {error}") from error

    def window(self, *, required: bool) -> Window:
        """The window written in the config; everything when none is and the mixing does not need one.

        Raises:
            ValueError: the mixing acts on windows and this source declares none.
        """
        window = self._declared_window()
        if window is None and required:
            raise ValueError(
                f"source '{self.repo_id}' declares no window, and this mixing needs one: it says at which noise "
                "levels the source may teach. Write for example `sigma_min: 0.3` (teach only above level 0.3), "
                "`sigma_max: 0.2` (only below 0.2), `windows: meta/ambient_windows.parquet`, or `sigma_min: 0.0` "
                "to trust it everywhere, which is plain co-training. `lerobot-ambient annotate` looks for one in the "
                "data."
            )
        return EVERYTHING if window is None else window


_MERGED = ("rename", "dimension_names", "cameras")
"""Options of which an entry gives some keys and the source others."""


def _cameras(own: Mapping[str, CameraConfig], absent: Mapping[str, Any]) -> dict[str, CameraConfig]:
    """Cameras as declared, and constants for those that the dataset lacks: a fit of such a one has nothing to fit."""
    given = {key: camera for key, camera in own.items() if key not in absent or camera.fill is not None}
    return {key: CameraConfig(**values) for key, values in absent.items() if key not in given} | given


def _plain(value: Any) -> Any:
    """As an entry says it."""
    if isinstance(value, CameraConfig):
        return {key: one for key, one in asdict(value).items() if one is not None}
    return value


def check_episodes(name: str, episodes: Sequence[int] | None) -> None:
    """Refuse an empty, negative or repeating list of episodes.

    Raises:
        ValueError: naming the dataset.
    """
    if episodes is None:
        return
    if len(episodes) == 0:
        raise ValueError(f"'{name}': the list of episodes is empty; leave it out to use all of them.")
    if min(episodes) < 0:
        raise ValueError(f"'{name}': episode {min(episodes)} is negative; episodes count from 0.")
    if len(set(episodes)) != len(episodes):
        repeated = sorted({e for e in episodes if list(episodes).count(e) > 1})
        raise ValueError(f"'{name}': episodes {repeated} are listed more than once.")
