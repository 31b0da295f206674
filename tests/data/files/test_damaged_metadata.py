# SPDX-License-Identifier: Apache-2.0
"""Every file under meta/ damaged in turn, and every promise of info.json broken in turn: a dataset is used all the
same, or refused by one ValueError that names the dataset and the file. Nothing else comes out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.checked_metadata import CheckedMetadata
from lerobot_ambient.data.mixture import make_mixture

from ..small_recipe import OPTIONS, RECIPE

EPISODES, TASKS = "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"
GONE = object()
CAMERA = "observation.images.cam"


@pytest.fixture(scope="session")
def sound(tmp_path_factory, write_dataset):
    """me/damaged: 3 episodes; and me/good beside it."""
    folder = tmp_path_factory.mktemp("metadata")
    write_dataset(folder / "good", "me/good", [8, 9], seed=1)
    write_dataset(folder / "damaged", "me/damaged", [9, 7, 8], seed=2)
    return folder


@pytest.fixture(scope="session")
def seeing(tmp_path_factory, write_dataset):
    """The same with a camera."""
    folder = tmp_path_factory.mktemp("seeing")
    write_dataset(folder / "good", "me/good", [8, 9], seed=1, image=(6, 8))
    write_dataset(folder / "damaged", "me/damaged", [9, 7, 8], seed=2, image=(6, 8))
    return folder


@pytest.fixture
def root(sound, tmp_path):
    return private_copy(sound, tmp_path)


def private_copy(sound: Path, folder: Path) -> Path:
    """me/damaged with files under meta/ of its own; the data is shared."""
    shutil.copytree(sound / "damaged" / "meta", folder / "d" / "meta")
    (folder / "d" / "data").symlink_to(sound / "damaged" / "data")
    return folder / "d"


def outcome(sound, root, *, as_target: bool) -> tuple[str, str]:
    """("works", what was read) or ("refused", the message). Any other exception is the test's failure."""
    damaged = Source("me/damaged", root=str(root), sigma_min=None if as_target else 0.2)
    good = Source("me/good", root=str(sound / "good"), sigma_min=0.2 if as_target else None)
    pair = [damaged, good] if as_target else [good, damaged]
    try:
        mixture = make_mixture(pair[0], pair[1:], OPTIONS, RECIPE)
    except ValueError as error:
        return "refused", str(error)
    batch = mixture.dataset.gather(range(len(mixture.dataset)))
    assert all(torch.isfinite(value).all() for value in batch.values() if isinstance(value, torch.Tensor))
    for key, entry in mixture.meta.stats.items():
        for value in entry.values() if key in mixture.dataset.keys else ():
            assert np.isfinite(np.asarray(value)).all(), key
    read = mixture.sources[0 if as_target else 1]
    return "works", f"{read.episodes} {len(read)}"


def require_answer(sound, root, file, *, works: bool | None = None, roles=(True, False)) -> None:
    """As target and as source: it works with everything, or the dataset and the file are named.

    Args:
        sound, root: fixtures.
        file: the damaged one.
        works: whether it must; None where either is right.
        roles: whether it is the target.
    """
    for as_target in roles:
        kind, said = outcome(sound, root, as_target=as_target)
        if kind == "works":
            assert said == "[0, 1, 2] 24"
        else:
            assert "me/damaged" in said and file in said, said
            assert "\n\n" not in said and len(said) < 1200, said
        assert works is None or works == (kind == "works"), said


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribbled(path: Path) -> None:
    """Bytes in the middle are others; the head and the end of a parquet file stay."""
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = b"\xff" * (len(content) // 2 - len(content) // 4)
    path.write_bytes(content)


FILES = {
    "missing": Path.unlink,
    "cut": halved,
    "empty": lambda path: path.write_bytes(b""),
    "another file": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n" * 9),
    "scribbled over": scribbled,
    "another table": lambda path: pq.write_table(pa.table({"x": [1, 2]}), path),
    "an empty table": lambda path: pq.write_table(pa.table({}), path),
    "a list": lambda path: path.write_text("[1, 2]"),
    "null": lambda path: path.write_text("null"),
    "an empty object": lambda path: path.write_text("{}"),
}


@pytest.mark.parametrize("damage", FILES)
@pytest.mark.parametrize("file", ["meta/info.json", "meta/stats.json", TASKS, EPISODES])
def test_a_damaged_file_is_named_or_done_without(sound, root, file, damage):
    FILES[damage](root / file)
    # Only statistics can be had from the data.
    require_answer(sound, root, file, works=file == "meta/stats.json")


WRONG = [GONE, None, True, -1, 0, "text", [], float("nan")]
ENTRIES = [
    *("codebase_version", "fps", "features", "total_episodes", "total_frames", "total_tasks", "chunks_size"),
    *("data_files_size_in_mb", "video_files_size_in_mb", "data_path", "video_path", "robot_type", "splits", "tools"),
]
FEATURES = ["action", "observation.state", CAMERA, "frame_index", "timestamp"]


def edit_info(root: Path, change: Callable[[dict], None]) -> None:
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def put(entry: dict, name: str, value: object) -> None:
    if value is GONE:
        entry.pop(name, None)
    else:
        entry[name] = value


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_broken_promise_is_named_or_does_not_matter(sound, root, entry):
    whole = (root / "meta/info.json").read_text()
    harmless = {"total_frames", "total_tasks", "chunks_size", "video_path", "robot_type", "splits", "tools"}
    for number, value in enumerate(WRONG):
        edit_info(root, lambda info, value=value: put(info, entry, value))
        must = True if entry in harmless else None
        require_answer(sound, root, "meta/", works=must, roles=[number % 2 == 0])
        (root / "meta/info.json").write_text(whole)


@pytest.mark.parametrize("part", [None, "dtype", "shape", "names"])
@pytest.mark.parametrize("key", FEATURES)
def test_a_broken_feature_is_named_or_does_not_matter(seeing, tmp_path, key, part):
    root = private_copy(seeing, tmp_path)
    whole = (root / "meta/info.json").read_text()

    for number, value in enumerate((GONE, None, 7, "text", [0], "int64", "video", [2])):
        info = json.loads(whole)
        put(*((info["features"], key) if part is None else (info["features"][key], part)), value)
        (root / "meta/info.json").write_text(json.dumps(info))
        kind, said = outcome(seeing, root, as_target=number % 2 == 0)
        assert kind == "works" or ("me/damaged" in said and (key in said or "features" in said)), said


FALSE = {
    "episodes fewer": ("total_episodes", 2),
    "episodes more": ("total_episodes", 4),
    "frames": ("total_frames", 999),
    "tasks none": ("total_tasks", 0),
    "tasks more": ("total_tasks", 7),
    "fps": ("fps", 30),
    "path of v2.1": ("data_path", "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"),
    "path elsewhere": ("data_path", "elsewhere/{chunk_index}/{file_index}.parquet"),
    "path with a format that fails": ("data_path", "data/{chunk_index:q}.parquet"),
    "path with an open brace": ("data_path", "data/{chunk_index.parquet"),
}


@pytest.mark.parametrize("promise", FALSE)
def test_a_false_promise(sound, root, promise):
    edit_info(root, lambda info: info.update([FALSE[promise]]))
    works = {"episodes fewer", "frames", "tasks none", "tasks more", "fps"}
    require_answer(sound, root, "", works=promise in works)


@pytest.mark.parametrize("column", ["episode_index", "length", "data/file_index", "dataset_from_index", "tasks"])
def test_a_column_of_the_table_of_episodes(sound, root, column):
    table = pq.read_table(root / EPISODES)
    at = table.column_names.index(column)
    for value in (None, -1, "a", [0], 10**6):
        pq.write_table(table.set_column(at, column, pa.array([value] * len(table))), root / EPISODES)
        require_answer(sound, root, "")
    pq.write_table(table.drop_columns([column]), root / EPISODES)
    require_answer(sound, root, "meta/episodes", works=column in ("tasks", "dataset_from_index"))


def test_a_lerobot_that_reads_metadata_in_another_way_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(LeRobotDatasetMetadata, "__init__", lambda self, *given, **named: None)
    with pytest.raises(RuntimeError, match="nothing of it was checked"):
        CheckedMetadata("me/sim", root=str(tmp_path))
