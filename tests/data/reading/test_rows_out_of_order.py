# SPDX-License-Identifier: Apache-2.0
"""Rows of a parquet file that are shuffled, doubled, empty or of another shape: sorted, or named episode by episode."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture

from ..small_recipe import OPTIONS, RECIPE

LENGTHS = [9, 7, 11]


def make(root):
    return make_mixture(Source("me/rows", root=str(root)), [], OPTIONS, RECIPE)


@pytest.fixture(scope="session")
def sound_root(tmp_path_factory, write_dataset):
    root = tmp_path_factory.mktemp("rows") / "sound"
    return write_dataset(root, "me/rows", LENGTHS, seed=5, image=(8, 8))


@pytest.fixture
def rows(sound_root, tmp_path):
    """A private copy: 3 episodes of 9, 7 and 11 frames with a camera, in one parquet file."""
    shutil.copytree(sound_root, tmp_path / "rows")
    return tmp_path / "rows"


def edit(root: Path, change) -> None:
    (path,) = (root / "data").rglob("*.parquet")
    pq.write_table(change(pq.read_table(path)), path)


def set_column(table, name, values, kind=None):
    return table.set_column(table.column_names.index(name), name, pa.array(values, type=kind))


def set_cell(root, name, row, value):
    def change(table):
        cells = table[name].to_pylist()
        cells[row] = value
        return set_column(table, name, cells)

    edit(root, change)


def whole(mixture):
    return mixture.dataset.gather(list(range(len(mixture.dataset))))


def require_same(one, other):
    assert one.keys() == other.keys()
    for key, values in one.items():
        assert not isinstance(values, torch.Tensor) or torch.equal(values, other[key]), key


@pytest.mark.parametrize("across", [False, True])
def test_shuffled_rows_give_the_same_samples_pictures_too(sound_root, rows, across, caplog):
    rng = np.random.default_rng(3)
    ends = np.cumsum(LENGTHS)
    inside = [low + rng.permutation(n) for low, n in zip(ends - LENGTHS, LENGTHS, strict=True)]
    order = rng.permutation(sum(LENGTHS)) if across else np.concatenate(inside)
    edit(rows, lambda table: table.take(pa.array(order)))
    with caplog.at_level(logging.WARNING):
        mixture = make(rows)
    assert "data/chunk-000/file-000.parquet: the rows of episodes 0, 1, 2 lie out of order; they are" in caplog.text
    sound = make(sound_root)
    assert mixture.fingerprint == sound.fingerprint
    require_same(whole(mixture), whole(sound))


def test_a_selection_of_shuffled_rows(sound_root, rows):
    edit(rows, lambda table: table.take(pa.array(np.random.default_rng(4).permutation(sum(LENGTHS)))))
    chosen = [
        make_mixture(Source("me/rows", root=str(r), episodes=[0, 2]), [], OPTIONS, RECIPE) for r in (rows, sound_root)
    ]
    require_same(*map(whole, chosen))


def split(root, names, strays=None):
    """A file an episode, numbered 9, 10, 11; `strays` episodes' rows are left in the last file, too."""
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    for number, episodes in zip((9, 10, 11), ([0], [1], [2, *(strays or [])]), strict=True):
        inside = np.isin(table["episode_index"].to_numpy(), episodes)
        pq.write_table(table.filter(pa.array(inside)), root / names.format(chunk_index=0, file_index=number))
    path.unlink()
    (path,) = (root / "meta/episodes").rglob("*.parquet")
    pq.write_table(set_column(pq.read_table(path), "data/file_index", [9, 10, 11]), path)
    info = json.loads((root / "meta/info.json").read_text()) | {"data_path": names}
    (root / "meta/info.json").write_text(json.dumps(info))


def test_files_follow_each_other_by_their_numbers(sound_root, rows):
    split(rows, "data/chunk-{chunk_index:03d}/{file_index}.parquet")
    require_same(whole(make(rows)), whole(make(sound_root)))


def test_rows_left_in_another_episodes_file_do_not_shift_the_pictures(rows):
    split(rows, "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", strays=[0])
    with pytest.raises(
        ValueError, match="data/ holds 36 rows of the selected episodes, and 27 of them are in the files"
    ):
        make(rows)


def test_counters_may_be_lists_of_one(sound_root, rows):
    def wrap(table):
        for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
            table = set_column(table, name, [[value] for value in table[name].to_pylist()])
        return table

    edit(rows, wrap)
    require_same(whole(make(rows)), whole(make(sound_root)))


def test_sound_rows_say_nothing(rows, caplog):
    with caplog.at_level(logging.WARNING):
        make(rows)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "row", "value", "reason"),
    [
        ("frame_index", 4, 3, "frame_index 3 is there twice"),
        ("action", 9 + 2, None, "action is null at frame 2"),
        ("action", 9 + 2, [1.0, None], r"action\[1\] is null at frame 2"),
        ("action", 9 + 2, [1.0], r"action holds 1 numbers, meta/info.json says shape \[2\], at frame 2"),
        ("task_index", 9 + 2, None, "task_index is null at frame 2"),
        ("frame_index", 9 + 2, None, "frame_index is null at frame 11"),
        ("episode_index", 9 + 2, None, "6 of its 7 frames are in data/chunk-000/file-000.parquet"),
    ],
)
def test_a_bad_row_costs_its_episode_only(rows, name, row, value, reason):
    set_cell(rows, name, row, value)
    bad = 0 if row < 9 else 1
    good = [episode for episode in range(3) if episode != bad]
    with pytest.raises(ValueError, match=rf"'me/rows': 1 of its episodes cannot be read:\n  episode {bad}: {reason}"):
        make(rows)
    mixture = make_mixture(Source("me/rows", root=str(rows), episodes=good), [], OPTIONS, RECIPE)
    assert mixture.sources[0].episodes == good


def test_orders_that_contradict_each_other_are_refused(rows):
    order = np.arange(sum(LENGTHS))
    order[1:4] = [3, 1, 2]

    def change(table):
        stay = table["timestamp"]
        return set_column(table.take(pa.array(order)), "timestamp", stay.to_pylist(), pa.float32())

    edit(rows, change)
    with pytest.raises(ValueError, match="episode 0: its rows are out of order, and frame_index and timestamp order"):
        make(rows)


def test_dropped_frames_are_warned_of_an_even_stride_is_not(rows, caplog):
    edit(rows, lambda table: set_column(table, "frame_index", [2 * i for i in table["frame_index"].to_pylist()]))
    with caplog.at_level(logging.WARNING):
        make(rows)
    assert caplog.text == ""
    values = [*range(0, 18, 2), *range(5), 9, 10, *range(11)]
    edit(rows, lambda table: set_column(table, "frame_index", values))
    with caplog.at_level(logging.WARNING):
        make(rows)
    assert "frame_index jumps in episodes 1 (from 4 to 9); their frames are taken as following" in caplog.text


def test_what_policies_do_not_read_may_be_null(rows):
    def change(table):
        return table.append_column("next.reward", pa.array([None] * len(table), type=pa.float32()))

    edit(rows, change)
    info = rows / "meta/info.json"
    info.write_text(
        info.read_text().replace(
            '"features": {', '"features": {"next.reward": {"dtype": "float32", "shape": [1], "names": null},'
        )
    )
    assert "next.reward" not in whole(make(rows))


@pytest.mark.parametrize("name", ["action", "observation.state", "frame_index", "task_index", "timestamp"])
def test_a_column_that_is_promised_and_lost(rows, name):
    edit(rows, lambda table: table.drop_columns([name]))
    with pytest.raises(ValueError, match=rf"(?s)'me/rows'.*column.*'{name}'|'me/rows'.*'{name}'.*column"):
        make(rows)
