# SPDX-License-Identifier: Apache-2.0
"""Opening one dataset of a mixture: its metadata, its numbers, its cameras, its keys renamed to the target's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants as hub_constants
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.utils import BackwardCompatibilityError, CompatibilityError, ForwardCompatibilityError
from lerobot.utils.constants import ACTION, OBS_PREFIX
from numpy.typing import NDArray

from lerobot_ambient.data.cameras.needed_cameras import (
    is_left_out,
    needed_cameras,
    policy_features,
    refuse_depth,
    without,
)
from lerobot_ambient.data.cameras.stored_pictures import StoredPictures, stored_pictures
from lerobot_ambient.data.catalogue.compare import checked_entry
from lerobot_ambient.data.declared.groups import group_name
from lerobot_ambient.data.declared.sources import Source, check_episodes
from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES
from lerobot_ambient.data.files.checked_metadata import CheckedMetadata, MissingFileError
from lerobot_ambient.data.files.dataset_format import outdated
from lerobot_ambient.data.files.dimension_names import with_names
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.data.files.parquet_rows import COUNTERS
from lerobot_ambient.data.files.policy_numbers import NO_NUMBERS, as_policy_numbers, require_vectors
from lerobot_ambient.data.reading.lance_tables import LanceTables, is_lance
from lerobot_ambient.data.reading.storage import FilesHere, Storage
from lerobot_ambient.data.reading.streamed import cached_commit, open_streamed, refuse_local_copy
from lerobot_ambient.data.remote.options import StreamOptions

logger = logging.getLogger(__name__)

_TIMED = 10_000
"""Frames whose timestamps are looked at."""
_LONG = 86_400.0
"""Seconds; timestamps beyond are dates, not times of an episode."""


@dataclass(frozen=True)
class ReadOptions:
    """How every dataset of the mixture is read.

    Args:
        observation_deltas, action_deltas: frame offsets of the chunks a sample holds; None for one observation without
            a dimension of time.
        tolerance_s: allowed error of a video timestamp, in seconds.
        video_backend: LeRobot's decoder; its default when None.
        image_transforms: augmentation of camera images, or None.
        frame_cache: folder of decoded frames; None decodes at every visit.
        frame_size: (H, W) of cached frames; the target's own size when None.
        stream: where blocks of videos that stay on the Hub are kept, and how many.
    """

    observation_deltas: Sequence[int] | None
    action_deltas: Sequence[int]
    tolerance_s: float = 1e-4
    video_backend: str | None = None
    image_transforms: Callable[..., Any] | None = None
    frame_cache: Path | None = None
    frame_size: tuple[int, int] | None = None
    stream: StreamOptions = field(default_factory=StreamOptions)

    def deltas(self, keys: Sequence[str]) -> dict[str, Sequence[int]]:
        """Offsets of each key, by LeRobot's rule: `action`, and everything that starts with `observation.`."""
        observed = self.observation_deltas
        chosen = {} if observed is None else {key: observed for key in keys if key.startswith(OBS_PREFIX)}
        return chosen | ({ACTION: self.action_deltas} if ACTION in keys else {})


@dataclass(frozen=True, eq=False)
class OpenedDataset:
    """One dataset as it was read: its own numbers under the target's keys.

    Attributes:
        name: what messages and logs call it.
        config: as declared.
        meta: LeRobot's metadata, under its own keys.
        features: LeRobot feature specs under the target's keys.
        columns: (N, ...) numbers of the selected frames by key.
        episode_ids: (E,) int64 episode numbers, in the order of the rows.
        starts, stops: (E,) int64 half-open rows of each episode.
        storage: how it is kept, and so how its frames are read.
        frameless: cameras that info.json declares and that have no frame, with the reason; not among the features.
        places: (N,) where each row lies among the rows of the selected episodes in the files; None where as here.
        computed: features whose numbers were computed from the recorded ones, and what an action is made into:
            absolute, delta_base or delta_tool. The dataset's statistics are not of them.
    """

    name: str
    config: Source
    meta: LeRobotDatasetMetadata
    features: dict[str, dict[str, Any]]
    columns: dict[str, NDArray[Any]]
    episode_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    storage: Storage
    frameless: dict[str, str] = field(default_factory=dict)
    places: NDArray[np.int64] | None = None
    computed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.stops[-1])

    @property
    def fps(self) -> float:
        """Frames per second, as declared or else as recorded."""
        return float(self.meta.fps) if self.config.fps is None else self.config.fps

    @property
    def group(self) -> str:
        """What it counts to where there are many sources."""
        return group_name(self.config.group, self.meta.robot_type, self.config.repo_id)

    @property
    def episodes(self) -> list[int]:
        """The selected episodes, ascending."""
        return sorted(self.episode_ids.tolist())

    @property
    def stats(self) -> dict[str, dict[str, Any]]:
        """LeRobot's statistics under the target's keys, of the numbers that are as recorded."""
        stats = {self.config.rename.get(key, key): value for key, value in (self.meta.stats or {}).items()}
        return {key: value for key, value in stats.items() if key not in self.computed}

    @property
    def original(self) -> dict[str, str]:
        """Target's key to this dataset's own."""
        return {self.config.rename.get(key, key): key for key in self.meta.features}

    @property
    def camera_keys(self) -> list[str]:
        return [key for key, spec in self.features.items() if spec["dtype"] in CAMERA_DTYPES]

    @cached_property
    def dataset(self) -> StoredPictures:
        """The images stored in parquet, in the order of the rows."""
        return stored_pictures(self.meta, self.episodes, self.places, len(self))

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.episode_ids)} episodes, {len(self)} frames, {self.fps:g} fps"


def open_dataset(
    config: Source,
    name: str,
    *,
    is_target: bool = False,
    cameras: Sequence[str] | None = None,
    stream: StreamOptions | None = None,
) -> OpenedDataset:
    """Open a dataset, read its numbers, rename its keys.

    Args:
        config: as declared.
        name: what messages call it.
        is_target: where messages name options, the target's.
        cameras: keys of the target's cameras: the frames of others need not be there. All are needed when None,
            except those renamed to a key outside the observations, which leaves them out.
        stream: where blocks of its videos are kept, if they stay on the Hub; the default place when None.

    Raises:
        ValueError: unknown dataset or version, empty or unknown episodes, renames that do not fit its keys,
            episodes that cannot be read, cameras of the target without frames, another dataset than the catalogue
            entry that the source names.
    """
    meta = open_metadata(config, name)
    check_episodes(name, config.episodes)
    for note in meta.notes:
        logger.warning("'%s': %s", name, note)
    for note in checked_entry(name, config.catalogue, meta, config.dimension_names, config.rename):
        logger.warning("'%s': %s", name, note)
    _check_rename(config.rename, list(meta.features), name)
    strange = [key for key in config.bgr or () if key not in meta.camera_keys]
    if strange and config.catalogue is None:
        raise ValueError(f"'{name}': bgr names {strange}, and its cameras are {meta.camera_keys}, by its own keys.")
    wanted = wanted_episodes(config, meta, name)
    needed = needed_cameras(meta, config.rename, cameras)
    if is_target:
        refuse_depth(name, meta, needed)
    storage = _storage_of(config, meta, stream or StreamOptions())
    storage.fetch(meta, wanted, [key for key in needed if key in meta.video_keys])
    frameless = storage.frameless(meta, wanted, needed)
    if frameless and is_target:
        listing = "\n".join(f"  {key}: {reason}" for key, reason in frameless.items())
        raise ValueError(
            f"'{name}': meta/info.json declares cameras of which there is no frame:\n{listing}\n"
            f"Bring the frames back (a new download, say), or train without: {without(list(frameless))}."
        )

    features = {
        config.rename.get(key, key): policy_features(name, key, spec)
        for key, spec in meta.features.items()
        if key not in frameless and not is_left_out(key, spec, config.rename)
    }
    features = with_names(features, config.dimension_names, name)
    original = {config.rename.get(key, key): key for key in meta.features}
    if is_target:
        require_vectors(name, features)
    numeric = {key: tuple(spec["shape"]) for key, spec in features.items() if spec["dtype"] not in NO_NUMBERS}
    shapes = {original[key]: shape for key, shape in numeric.items()}
    finite = [original[key] for key in numeric if is_policy_feature(key)]
    read = storage.numbers(meta, wanted, shapes, finite)
    readable = [episode for episode in wanted if episode not in read.broken]
    seen = [key for key in needed if key not in frameless]
    # Looking into every video takes a third of a millisecond a file, into every picture as much a picture; who wants
    # broken episodes gone has asked for it.
    broken = read.broken | storage.broken(meta, readable, seen, thorough=config.skip_broken)
    if broken:
        good = [episode for episode in wanted if episode not in broken]
        _report_broken(name, broken, good, skip=config.skip_broken, is_target=is_target)
        if len(good) < len(read.episode_ids):
            read = storage.numbers(meta, good, shapes, finite)
    rate = [] if config.fps is not None else _rate_note(meta, read.columns)
    for note in [*read.notes, *rate]:
        logger.warning("'%s': %s", name, note)
    columns = {key: read.columns[original[key]] for key in numeric if original[key] in read.columns}
    features = _with_columns(name, features, columns, is_target=is_target)
    lengths = np.diff(np.append(read.starts, len(read.columns["episode_index"])))
    features, columns = as_policy_numbers(features, columns)
    return OpenedDataset(
        name=name,
        config=config,
        meta=meta,
        features=features,
        columns=columns,
        episode_ids=read.episode_ids,
        starts=read.starts,
        stops=read.starts + lengths,
        storage=storage,
        frameless={config.rename.get(key, key): reason for key, reason in frameless.items()},
        places=read.places,
    )


def _storage_of(config: Source, meta: CheckedMetadata, stream: StreamOptions) -> Storage:
    """How a dataset is kept, by what its metadata and its declaration say."""
    if is_lance(meta):
        return LanceTables(config)
    return open_streamed(config, meta, stream) if config.stream else FilesHere(config)


def is_bookkeeping(key: str) -> bool:
    """Whether LeRobot adds this feature to every dataset."""
    return key in COUNTERS


def is_policy_feature(key: str) -> bool:
    """Whether the policy reads this feature."""
    return key == ACTION or key.startswith(OBS_PREFIX)


def open_metadata(config: Source, name: str) -> CheckedMetadata:
    """LeRobot's metadata of a dataset, its files checked.

    Raises:
        ValueError: not found, of another format, damaged, or empty.
    """
    hint = (
        "Check the spelling, give the folder that holds its meta/ and data/ as `root`, or, for a dataset on the Hub, "
        "make sure the Hub can be reached and HF_HUB_OFFLINE is not set."
    )
    # Two of one repo_id are distinguished by their names; else the name is the repo_id.
    titled = f"dataset '{name}'" + ("" if name == config.repo_id else f" ({config.repo_id})")
    root = config.root
    # A relative root is meant from where the command runs, which a reader of the message may not know.
    place = None if root is None else root if Path(root).is_absolute() else f"{root} (that is {Path(root).absolute()})"
    # LeRobot creates a missing root before it asks the Hub; offline that would only leave an empty folder.
    if root is not None and hub_constants.HF_HUB_OFFLINE and not (Path(root) / "meta").is_dir():
        raise ValueError(f"{titled}: no LeRobot dataset in root {place}: {_what_is_in(Path(root))}. {hint}")
    # LeRobot asks the Hub which version there is, unless it is told a commit.
    offline = config.stream and hub_constants.HF_HUB_OFFLINE
    revision = cached_commit(config) if offline else config.revision
    try:
        meta = CheckedMetadata(config.repo_id, root=root, revision=revision, fps=config.fps)
    except MissingFileError as error:
        raise ValueError(str(error)) from error
    except NOT_ON_THE_HUB as error:
        missing = _missing_file(error)
        if missing is not None:
            raise ValueError(f"{missing}{reason_of(error)}") from error
        where = f"root {place}" if root else "LeRobot's cache and the Hub"
        raise ValueError(f"{titled} was not found in {where}{reason_of(error)}. {hint}") from error
    except (CompatibilityError, NotImplementedError) as error:
        # The Hub's tags say so; what lies here has been checked above.
        if isinstance(error, ForwardCompatibilityError):
            raise ValueError(f"{titled}: {str(error).strip()}") from error
        version = "v2.1" if isinstance(error, BackwardCompatibilityError) else None
        raise ValueError(f"{titled} {outdated(version, config.repo_id, config.root)}") from error
    if meta.episodes is None:
        raise ValueError(f"{titled} in {meta.root} has no episodes yet.")
    if config.stream:
        refuse_local_copy(titled, meta)
    return meta


def _what_is_in(root: Path) -> str:
    """Why a folder is no dataset; with those in it that are."""
    if not root.is_dir():
        return "that is a file" if root.exists() else "there is no such folder"
    below = sorted(str(info.parents[1]) for info in (*root.glob("*/meta/info.json"), *root.glob("*/*/meta/info.json")))
    return "it has no meta/" + (f", but {', '.join(below[:3])} {'has' if len(below) == 1 else 'have'}" if below else "")


def _missing_file(error: BaseException) -> MissingFileError | None:
    """The file under meta/ for which LeRobot asked the Hub."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MissingFileError):
        cause = cause.__cause__ or cause.__context__
    return cause


def wanted_episodes(config: Source, meta: LeRobotDatasetMetadata, name: str) -> list[int]:
    """The selected episodes, ascending; by default those of the table, and those that info.json promises beside them.

    Raises:
        ValueError: a selection of what the table does not hold.
    """
    held = sorted(EpisodeTable(meta).number.tolist())
    if config.episodes is None:
        lost = set(range(meta.total_episodes)).difference(held) if meta.total_episodes > len(held) else set()
        return sorted(lost.union(held))
    unknown = sorted(set(config.episodes).difference(held))
    if unknown:
        raise ValueError(f"'{name}' has {len(held)} episodes ({_spans(held)}), not {unknown}.")
    return sorted(config.episodes)


def _spans(numbers: Sequence[int]) -> str:
    """Ascending numbers in words: `0 to 3`, `0, 2 to 5`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [str(low) if low == high else f"{low} to {high}" for low, high in spans]
    return ", ".join(words[:20] + (["..."] if len(words) > 20 else []))


def _report_broken(name: str, broken: Mapping[int, str], good: Sequence[int], *, skip: bool, is_target: bool) -> None:
    """Refuse, or with `skip` warn about, episodes that cannot be used, grouped by reason."""
    reasons: dict[str, list[int]] = {}
    for episode in sorted(broken):
        reasons.setdefault(broken[episode], []).append(episode)
    lines = [
        f"  episode{'s' if len(episodes) > 1 else ''} {', '.join(map(str, episodes[:12]))}"
        f"{f' and {len(episodes) - 12} more' if len(episodes) > 12 else ''}: {reason}"
        for reason, episodes in reasons.items()
    ]
    listing = "\n".join(lines[:20] + ([f"  and {len(lines) - 20} more"] if len(lines) > 20 else []))
    if skip and good:
        logger.warning("'%s': %d of its episodes are left out:\n%s", name, len(broken), listing)
        return
    if not good:
        raise ValueError(
            f"'{name}': none of the selected episodes can be read:\n{listing}\n"
            "Fix the dataset (a new download, say), or check that its root is the right folder."
        )
    option = "--dataset.episodes=" if is_target else "episodes: "
    selection = str(list(good)) if len(good) <= 50 else f"[{', '.join(map(str, good[:50]))}, ...]"
    skipping = "" if is_target else ", or with `skip_broken: true`"
    raise ValueError(
        f"'{name}': {len(broken)} of its episodes cannot be read:\n{listing}\n"
        f"Fix the dataset (a new download, say), or leave them out with `{option}{selection}`{skipping}."
    )


def _rate_note(meta: LeRobotDatasetMetadata, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """What to say where the timestamps advance at another rate than info.json says; a part of the frames tells."""
    if "timestamp" not in columns:
        return []
    times, episode = (columns[key][:_TIMED] for key in ("timestamp", "episode_index"))
    steps = np.diff(times.astype(np.float64))[episode[1:] == episode[:-1]]
    step = float(np.median(steps)) if len(steps) else 0.0
    # Seconds since 1970 do not fit float32, in which they are stored.
    if step <= 0.0 or float(np.abs(times).max()) > _LONG or abs(step * meta.fps - 1.0) < 0.1:
        return []
    return [
        f"the timestamps advance at {1 / step:.3g} Hz, meta/info.json says fps {meta.fps:g}, which counts. Chunks are "
        f'of another duration if that is wrong: write "fps": {1 / step:.3g} there, or `fps: ...` on a source.'
    ]


def _with_columns(
    name: str, features: dict[str, dict[str, Any]], columns: Mapping[str, NDArray[Any]], *, is_target: bool
) -> dict[str, dict[str, Any]]:
    """The features without numbers that a policy may read and that no parquet file holds.

    Raises:
        ValueError: they are the target's.
    """
    numbers = [key for key, spec in features.items() if spec["dtype"] not in NO_NUMBERS]
    absent = [key for key in numbers if is_policy_feature(key) and key not in columns]
    if not absent:
        return features
    said = f"meta/info.json promises {absent}, but no parquet file under data/ has such a column"
    if is_target:
        raise ValueError(f"'{name}': {said}. Convert the dataset again, or take the entries out of `features` there.")
    logger.warning("'%s': %s; it is treated as a dataset without.", name, said)
    return {key: spec for key, spec in features.items() if key not in absent}


def _check_rename(rename: Mapping[str, str], keys: Sequence[str], name: str) -> None:
    missing = [key for key in rename if key not in keys]
    if missing:
        raise ValueError(f"'{name}': rename names {missing}, but the dataset's keys are {sorted(keys)}.")
    result = [rename.get(key, key) for key in keys]
    for new in sorted({key for key in result if result.count(key) > 1}):
        clash = [key for key in keys if rename.get(key, key) == new]
        raise ValueError(
            f"'{name}': rename maps {clash} both to '{new}'; rename one of them to another key, or leave it out."
        )
