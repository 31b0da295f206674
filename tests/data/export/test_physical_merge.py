# SPDX-License-Identifier: Apache-2.0
"""Writing one dataset out of aligned episodes: the values, the statistics, and what a kill leaves behind."""

import json
import os
from dataclasses import replace

import datasets
import numpy as np
import pytest
from huggingface_hub.utils import WeakFileLock
from lerobot.datasets import LeRobotDataset
from lerobot.datasets.io_utils import load_stats

from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.export.physical_merge import write_merge
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.windows.merged_file import MERGE_PATH, MergedFile, MergedSource, consecutive, load_merged_file

PLAIN = {
    "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
}
ODD = {
    "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    "touch": {"dtype": "float64", "shape": (2, 3), "names": None},
}


class MadeUp:
    """Seven random episodes: two of the target, three and two of sources. Tasks change inside an episode."""

    fps = 10
    robot_type = "toy"
    tasks = ("go", "", "wander")
    owners = (0, 0, 1, 1, 1, 2, 2)

    def __init__(self, camera=None, odd=False, dies_at=None):
        self.features = PLAIN | (ODD if odd else {})
        if camera is not None:
            spec = {"dtype": camera, "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
            self.features = self.features | {"observation.images.cam": spec}
        # LeRobot itself cannot write one frame of a feature with two axes.
        self.lengths = (12, 9, 3 if odd else 1, 15, 11, 8, 10)
        self.dies_at = dies_at

    def source(self, episode):
        return self.owners[episode]

    def read(self, episode):
        if episode == self.dies_at:
            raise OSError("the disk is gone")
        rng, n = np.random.default_rng(episode), self.lengths[episode]
        values = {}
        for key, spec in self.features.items():
            shape = (n,) if spec["shape"] == (1,) else (n, *spec["shape"])
            values[key] = rng.normal(size=shape).astype(np.float32)
        if "next.done" in self.features:
            values["next.done"] = np.arange(n) == n - 1
        if "observation.images.cam" in self.features:
            values["observation.images.cam"] = (self.image(episode, t) for t in range(n))
        names = [self.tasks[(episode + (t > n // 2)) % 3] for t in range(n)]
        low = rng.uniform(size=n).astype(np.float32)
        return {**values, "task": names, "ambient.sigma_min": low, "ambient.sigma_max": 1 - low}

    @staticmethod
    def image(episode, t):
        """A smooth gradient, which video compression keeps."""
        y, x = np.mgrid[:48, :64]
        return np.stack([x + 10 * t, 2 * y + 20 * episode, x + y], axis=-1).clip(0, 255).astype(np.uint8)

    def describe(self):
        counts = [self.owners.count(i) for i in range(3)]
        frames = [sum(n for n, owner in zip(self.lengths, self.owners, strict=True) if owner == i) for i in range(3)]
        sources = [
            MergedSource(f"me/{i}", f"me/{i}", None, 10.0, span, count, window=None if i == 0 else Window(0.3))
            for i, (span, count) in enumerate(zip(consecutive(counts), frames, strict=True))
        ]
        normalization = ActionNormalization("MIN_MAX", False, (0.0, 0.0), (1.0, 1.0), 8)
        stats = {"action": {"min": np.zeros(2), "max": np.ones(2)}}
        return MergedFile(tuple(sources), stats, normalization, "absolute", ("one", "two"))


def write(episodes, output, part_episodes=3, **options):
    return write_merge(episodes, episodes.describe(), output, "me/merged", part_episodes=part_episodes, **options)


def content(root):
    """Every number of a dataset, as LeRobot's own table has them, and what lies beside it."""
    table = LeRobotDataset("me/merged", root=root).hf_dataset.with_format("numpy")[:]
    files = {path.name: path.read_text() for path in (root / "meta").glob("*.json")}
    return {key: np.asarray(value).tolist() for key, value in table.items()} | files


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output = tmp_path_factory.mktemp("merge") / "merged"
    write(MadeUp(), output)
    return output


@pytest.mark.parametrize("camera", ["image", "video"])
def test_lerobot_reads_what_was_written(tmp_path, camera):
    episodes, seen = MadeUp(camera, odd=camera == "image"), []
    summary = write(episodes, tmp_path / "merged", on_episode=seen.append)
    assert (summary.episodes, summary.frames, sum(seen)) == (7, sum(episodes.lengths), 7)
    dataset = LeRobotDataset("me/merged", root=summary.root)
    assert (dataset.fps, dataset.meta.robot_type, dataset.meta.info.codebase_version) == (10, "toy", "v3.0")
    assert list(dataset.meta.tasks.index) == ["go", "", "wander"]
    position = 0
    for episode, length in enumerate(episodes.lengths):
        wanted = episodes.read(episode)
        for t in range(length):
            item = dataset[position]
            for key in {*episodes.features, "ambient.sigma_min", "ambient.sigma_max"} - {"observation.images.cam"}:
                assert np.array_equal(item[key], wanted[key][t]), key
            assert item["ambient.source"].item() == episodes.source(episode)
            assert item["task"] == wanted["task"][t]
            numbers = [item[key].item() for key in ("index", "episode_index", "frame_index")]
            assert numbers == [position, episode, t]
            image = (item["observation.images.cam"].permute(1, 2, 0).numpy() * 255).round().astype(int)
            error = np.abs(image - episodes.image(episode, t)).mean()
            assert error == 0 if camera == "image" else error < 4
            position += 1
    assert {path.name for path in summary.root.iterdir()} == {"data", "meta"} | ({"videos"} & {f"{camera}s"})
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_statistics_are_those_of_all_frames(undisturbed):
    stats = load_stats(undisturbed)
    episodes = [MadeUp().read(i) for i in range(7)]
    for key in ("action", "ambient.sigma_min"):
        values = np.concatenate([episode[key] for episode in episodes]).astype(np.float64).reshape(66, -1)
        for name, exact in {
            "min": values.min(0),
            "max": values.max(0),
            "mean": values.mean(0),
            "std": values.std(0),
            "q01": np.quantile(values, 0.01, axis=0),
            "q50": np.quantile(values, 0.5, axis=0),
            "q99": np.quantile(values, 0.99, axis=0),
            "count": np.array([66]),
        }.items():
            np.testing.assert_allclose(stats[key][name], exact, rtol=1e-6, err_msg=f"{key} {name}")
    assert stats["ambient.source"]["max"].tolist() == [2.0]


@pytest.mark.parametrize(("part_episodes", "dies_at", "kept"), [(3, 4, [3]), (2, 6, [6]), (7, 5, [])])
def test_a_merge_that_stopped_goes_on_to_the_same_result(tmp_path, undisturbed, part_episodes, dies_at, kept):
    output = tmp_path / "merged"
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=dies_at), output, part_episodes)
    work = tmp_path / "merged.partial"
    assert not output.exists()
    assert max([0, *(int(path.name[-6:]) for path in work.glob("episodes-*"))]) == max([0, *kept])
    seen = []
    write(MadeUp(), output, part_episodes, on_episode=seen.append)
    assert seen == [*kept, *[1] * (7 - sum(kept))]
    assert content(output) == content(undisturbed)
    assert not work.exists()


def test_an_unfinished_part_and_a_torn_file_are_written_anew(tmp_path, undisturbed):
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=4), tmp_path / "merged")
    torn = tmp_path / "merged.partial" / ".writing" / "data" / "chunk-000" / "file-001.parquet"
    torn.write_bytes(b"PAR1 and no footer")
    write(MadeUp(), tmp_path / "merged")
    assert content(tmp_path / "merged") == content(undisturbed)


def test_finished_parts_are_not_touched_by_later_ones(tmp_path):
    """They share files with the part being written, which LeRobot must not change in place."""
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=4), tmp_path / "merged")
    part = tmp_path / "merged.partial" / "episodes-000003"
    before = {path: path.read_bytes() for path in part.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=5), tmp_path / "merged")
    assert {path: path.read_bytes() for path in part.rglob("*") if path.is_file()} == before
    written = tmp_path / "merged.partial" / ".writing" / "data" / "chunk-000"
    assert (written / "file-000.parquet").samefile(part / "data" / "chunk-000" / "file-000.parquet")


def test_a_file_system_without_links(tmp_path, undisturbed, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write(MadeUp(), tmp_path / "merged")
    assert content(tmp_path / "merged") == content(undisturbed)


def test_killed_between_the_last_rename_and_the_cleaning(tmp_path):
    output = tmp_path / "merged"
    write(MadeUp(), output)
    work = tmp_path / "merged.partial"
    work.mkdir()
    write(MadeUp(), output)
    assert not work.exists()
    work.mkdir()
    other = MadeUp()
    with pytest.raises(ValueError, match="merged exists, and a merge never writes over anything"):
        write_merge(other, replace(other.describe(), fingerprint=("another",)), output, "me/merged")


def test_an_output_that_exists_is_refused(tmp_path):
    (tmp_path / "merged").mkdir()
    with pytest.raises(ValueError, match="merged exists, and a merge never writes over anything; remove it or name an"):
        write(MadeUp(), tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_two_different_merges_are_never_mixed(tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=4), tmp_path / "merged")
    other = MadeUp()
    changed = replace(other.describe(), fingerprint=("one", "another"))
    message = (
        r'(?s)merged.partial holds the beginning of another merge:.*fingerprint: \["one", "two"\]; now '
        r'\["one", "another"\].*or remove the folder'
    )
    with pytest.raises(ValueError, match=message):
        write_merge(other, changed, tmp_path / "merged", "me/merged", part_episodes=3)


def test_settings_may_change_until_the_first_part_is_finished(tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        write(MadeUp(dies_at=1), tmp_path / "merged")
    other = MadeUp()
    write_merge(other, replace(other.describe(), fingerprint=("another",)), tmp_path / "merged", "me/merged")
    assert load_merged_file(tmp_path / "merged").fingerprint == ("another",)


def test_a_second_process_is_kept_out(tmp_path):
    work = tmp_path / "merged.partial"
    work.mkdir()
    with (
        WeakFileLock(work / "lock"),
        pytest.raises(ValueError, match=r"another process is merging into .*merged\.partial; wait"),
    ):
        write(MadeUp(), tmp_path / "merged")


def test_a_part_needs_an_episode(tmp_path):
    with pytest.raises(ValueError, match="a part needs at least one episode, got part_episodes=0"):
        write(MadeUp(), tmp_path / "merged", part_episodes=0)


def test_writing_leaves_nothing_in_the_cache_of_hugging_face(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    write(MadeUp(), tmp_path / "merged")
    assert cache == datasets.config.HF_DATASETS_CACHE
    assert not cache.exists()


def test_the_merge_is_described_beside_the_data(undisturbed):
    assert load_merged_file(undisturbed) == MadeUp().describe()
    values = json.loads((undisturbed / MERGE_PATH).read_text())
    assert values["schema_version"] == 1
    assert [source["episodes"] for source in values["sources"]] == [[0, 2], [2, 5], [5, 7]]
    assert [source["window"] for source in values["sources"]] == [None, *[{"sigma_min": 0.3, "sigma_max": 0.0}] * 2]


def test_push_to_hub_takes_the_tags_along(undisturbed, monkeypatch):
    from huggingface_hub.utils import filter_repo_objects
    from lerobot.datasets import lerobot_dataset

    calls = []

    class Recorder:
        def __getattr__(self, name):
            return lambda *args, **kwargs: calls.append((name, kwargs))

    monkeypatch.setattr(lerobot_dataset, "HfApi", Recorder)
    monkeypatch.setattr(lerobot_dataset, "create_lerobot_dataset_card", lambda **_: Recorder())
    LeRobotDataset("me/merged", root=undisturbed).push_to_hub()
    (upload,) = [kwargs for name, kwargs in calls if name == "upload_folder"]
    files = [str(path.relative_to(undisturbed)) for path in undisturbed.rglob("*") if path.is_file()]
    pushed = set(
        filter_repo_objects(
            files, allow_patterns=upload["allow_patterns"], ignore_patterns=[f"{p}*" for p in upload["ignore_patterns"]]
        )
    )
    assert upload["folder_path"] == undisturbed
    assert upload["repo_id"] == "me/merged"
    assert {MERGE_PATH, "meta/info.json", "data/chunk-000/file-000.parquet"} <= pushed == set(files)
