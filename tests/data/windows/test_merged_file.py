# SPDX-License-Identifier: Apache-2.0
"""A merge on disk read back: the plan, the statistics and the batches of the mixture that was written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets import LeRobotDataset, LeRobotDatasetMetadata

from lerobot_ambient.core.mixing import Ambient, Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.export.aligned_episodes import MixtureEpisodes
from lerobot_ambient.data.export.physical_merge import write_merge
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.windows.merged_file import (
    MERGE_PATH,
    MergedFile,
    MergedSource,
    consecutive,
    load_merged_file,
    write_merged_file,
)
from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
CAMERA = "observation.images.cam"


def recipe(**kwargs):
    values = {"schedule": SCHEDULE, "mixing": Ambient(None), "action_mode": "QUANTILES", "drop_n_last_frames": 3}
    return MixtureRecipe(**values | kwargs)


def merge(mixture, output, repo_id="me/merged", used=None):
    """Write a mixture; returns it as the target of a training run."""
    episodes = MixtureEpisodes(mixture)
    write_merge(episodes, episodes.describe(used or recipe()), output, repo_id, part_episodes=4)
    return Source(repo_id, root=str(output))


@pytest.fixture(scope="module")
def parts(tmp_path_factory, write_dataset):
    """Target and sources: one under its own statistics, one with a window a frame, one without camera and wrist."""
    folder = tmp_path_factory.mktemp("parts")
    keys = {"action": "actions", CAMERA: "top"}
    roots = {
        "target": write_dataset(folder / "target", "me/target", [14, 11, 9], seed=1, image=(24, 32)),
        "sim": write_dataset(
            folder / "sim", "me/sim", [12, 15], seed=2, image=(48, 64), keys=keys, task="", spread=3.0
        ),
        "points": write_dataset(folder / "points", "me/points", [10, 13, 12], seed=3, image=(24, 32), task="wander"),
        "lean": write_dataset(folder / "lean", "me/lean", [16, 9], seed=4, dims=1),
    }
    target = Source("me/target", root=str(roots["target"]))
    lengths = [10, 13, 12]
    table = WindowTable(
        repo_id="me/points",
        episode_index=np.repeat(np.arange(3), lengths),
        frame_index=np.concatenate([np.arange(n) for n in lengths]),
        sigma_min=np.linspace(0.1, 0.9, 35, dtype=np.float32),
        sigma_max=np.linspace(0.2, 0.0, 35, dtype=np.float32),
        normalization=make_mixture(target, [], OPTIONS, recipe()).normalization,
        method="test",
    )
    write_windows(table, roots["points"] / "meta" / "ambient_windows.parquet")
    rename = {old: new for new, old in keys.items()}
    sources = [
        Source("me/sim", root=str(roots["sim"]), sigma_min=0.3, weight=0.5, rename=rename, normalization="own"),
        Source("me/points", root=str(roots["points"]), episodes=[0, 2], windows="meta/ambient_windows.parquet"),
        Source(
            "me/lean",
            root=str(roots["lean"]),
            sigma_max=0.2,
            dimensions={
                "action": {"joint_1": DimensionConfig(mask=True)},
                "observation.state": {"joint_1": DimensionConfig(fill=0.25)},
            },
            cameras={CAMERA: CameraConfig(fill=0.5)},
        ),
    ]
    return target, sources


@pytest.fixture(scope="module")
def logical(parts):
    return make_mixture(*parts, OPTIONS, recipe())


@pytest.fixture(scope="module")
def merged(logical, tmp_path_factory):
    return merge(logical, tmp_path_factory.mktemp("merge") / "merged")


def differing(got, wanted, keys=None):
    """Keys whose values differ, sorted; resized images were rounded to 8 bits when they were written."""
    assert got.keys() == wanted.keys()
    found = []
    for key in keys or wanted:
        one, other = (batch[key] for batch in (got, wanted))
        if key == "info":
            one, other = one[GROUP_KEY], other[GROUP_KEY]
        if key == CAMERA:
            same = bool(((one - other).abs() <= 0.5 / 255 + 1e-6).all())
        else:
            same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        found += [] if same else [key]
    return sorted(found)


def test_the_plan_and_what_belongs_to_it_are_the_same(logical, merged):
    again = make_mixture(merged, [], OPTIONS, recipe())
    assert torch.equal(again.plan.joint, logical.plan.joint)
    assert again.plan.groups == logical.plan.groups
    assert repr(again.plan) == repr(logical.plan)
    assert again.normalization == logical.normalization
    assert torch.equal(again.action_mask, logical.action_mask)
    assert not again.action_mask.all()
    assert again.absent_cameras.keys() == logical.absent_cameras.keys() == {CAMERA}
    assert torch.equal(again.absent_cameras[CAMERA], logical.absent_cameras[CAMERA])
    assert again.meta.stats.keys() == logical.meta.stats.keys()
    for key, stats in logical.meta.stats.items():
        for name, value in stats.items():
            assert np.array_equal(np.asarray(again.meta.stats[key][name]), np.asarray(value)), f"{key} {name}"
    assert again.meta.features == logical.meta.features


def test_the_batches_are_the_same(logical, merged):
    again = make_mixture(merged, [], OPTIONS, recipe())
    assert len(again.dataset) == len(logical.dataset)
    positions = np.random.default_rng(0).permutation(len(logical.dataset)).tolist()
    wanted, got = logical.dataset.gather(positions), again.dataset.gather(positions)
    # The file counts the episodes that were chosen, the mixture all that the datasets have.
    assert differing(got, wanted) == ["episode_index", "index"]
    same_size = torch.tensor([position < 34 or position >= 34 + 27 for position in positions])
    assert torch.equal(got[CAMERA][same_size], wanted[CAMERA][same_size])
    assert list(zip(range(50), again.sampler(3), strict=False)) == list(
        zip(range(50), logical.sampler(3), strict=False)
    )


def test_whole_data_sets_keep_their_numbers(tmp_path, write_dataset):
    target = Source("me/target", root=str(write_dataset(tmp_path / "target", "me/target", [9, 7], seed=1)))
    sim = Source("me/sim", root=str(write_dataset(tmp_path / "sim", "me/sim", [8], seed=2)), sigma_min=0.4)
    logical = make_mixture(target, [sim], OPTIONS, recipe())
    again = make_mixture(merge(logical, tmp_path / "merged"), [], OPTIONS, recipe())
    wanted, got = (mixture.dataset.gather(range(24)) for mixture in (logical, again))
    assert differing(got, wanted) == []


def test_a_further_source_joins_those_of_the_file(merged, parts, tmp_path, write_dataset):
    root = write_dataset(tmp_path / "more", "me/more", [12], seed=9, image=(24, 32))
    more = Source("me/more", root=str(root), sigma_min=0.6)
    target, sources = parts
    wanted = make_mixture(target, [*sources, more], OPTIONS, recipe())
    again = make_mixture(merged, [more], OPTIONS, recipe())
    assert repr(again.plan) == repr(wanted.plan)
    assert torch.equal(again.plan.joint, wanted.plan.joint)
    numbers = again.dataset.gather(range(len(again.dataset)))["index"]
    assert len(numbers.unique()) == len(again.dataset)


def test_columns_are_what_the_mixture_says(logical, merged):
    dataset = LeRobotDataset("me/merged", root=merged.root)
    table = dataset.hf_dataset.with_format("numpy")
    source = np.repeat([0, 1, 2, 3], [34, 27, 22, 25])
    assert np.array_equal(table["ambient.source"], source)
    low, high = (np.asarray(table[f"ambient.sigma_{end}"]) for end in ("min", "max"))
    for index, window in {0: (0.0, 0.0), 1: (0.3, 0.0), 3: (1.0, 0.2)}.items():
        assert set(zip(low[source == index].tolist(), high[source == index].tolist(), strict=True)) == {
            tuple(np.float32(window).tolist())
        }
    frames = [*range(10), *range(23, 35)]
    assert np.array_equal(low[source == 2], np.linspace(0.1, 0.9, 35, dtype=np.float32)[frames])
    assert np.array_equal(high[source == 2], np.linspace(0.2, 0.0, 35, dtype=np.float32)[frames])
    assert dataset.meta.shapes[CAMERA] == (24, 32, 3)
    assert dataset[90][CAMERA].mean() == pytest.approx(128 / 255)
    assert dataset[40]["task"] == ""


def test_windows_made_under_another_normalisation_are_refused(merged):
    with pytest.raises(ValueError, match=r"(?s)'me/points'.*ambient_merge.json.*horizon is 8 there and 4 here"):
        make_mixture(merged, [], replace(OPTIONS, action_deltas=[0, 1, 2, 3]), recipe())


def test_a_window_that_was_never_declared_is_still_missing(tmp_path, target_root, source_root):
    target, sim = Source("me/target", root=str(target_root)), Source("me/sim", root=str(source_root))
    cotrain = recipe(mixing=Cotrain())
    merged = merge(make_mixture(target, [sim], OPTIONS, cotrain), tmp_path / "merged", used=cotrain)
    assert len(make_mixture(merged, [], OPTIONS, cotrain).plan.groups) == 2
    with pytest.raises(ValueError, match="declares no window"):
        make_mixture(merged, [], OPTIONS, recipe())


def test_another_frame_rate_is_resampled_and_keeps_its_share(tmp_path, write_dataset, target_root):
    fast_root = write_dataset(tmp_path / "fast", "me/fast", [40, 26], seed=5, fps=25)
    target = Source("me/target", root=str(target_root))
    fast = Source("me/fast", root=str(fast_root), sigma_min=0.4, weight=2.0)
    logical = make_mixture(target, [fast], OPTIONS, recipe())
    merged = merge(logical, tmp_path / "merged")
    dataset = LeRobotDataset("me/merged", root=merged.root)
    assert dataset.fps == 10
    assert [int(n) for n in dataset.meta.episodes["length"]] == [20, 9, 15, 16, 11]
    recorded = np.stack(LeRobotDataset("me/fast", root=fast_root).hf_dataset.with_format("numpy")["action"])[:40]
    expected = np.stack([np.interp(np.arange(16) / 10, np.arange(40) / 25, column) for column in recorded.T], axis=1)
    written = np.stack([dataset[44 + k]["action"] for k in range(16)])
    np.testing.assert_allclose(written, expected, rtol=1e-5, atol=1e-5)

    again = make_mixture(merged, [], OPTIONS, recipe())
    assert [group.count for group in again.plan.groups] == [35, 21]
    assert again.plan.groups[1].weight == pytest.approx(2.0 * logical.plan.groups[1].count / 21)
    np.testing.assert_allclose(again.plan.joint, logical.plan.joint, rtol=1e-12)
    assert (again.sources[1].name, load_merged_file(merged.root).sources[1].fps) == ("me/fast", 25.0)


class TestEpisodes:
    def test_they_select_among_the_targets(self, merged):
        mixture = make_mixture(replace(merged, episodes=[2]), [], OPTIONS, recipe())
        assert [len(source.episode_ids) for source in mixture.sources] == [1, 2, 2, 2]

    def test_an_episode_of_a_source_is_refused(self, merged):
        with pytest.raises(
            ValueError, match=r"episode 4 belongs to its source 'me/sim', not to its target \(episodes 0"
        ):
            make_mixture(replace(merged, episodes=[0, 4]), [], OPTIONS, recipe())

    def test_one_that_nothing_has_is_unknown(self, merged):
        with pytest.raises(ValueError, match=r"'me/target' has 9 episodes \(0 to 8\), not \[9\]"):
            make_mixture(replace(merged, episodes=[0, 9]), [], OPTIONS, recipe())

    def test_held_out_episodes_come_without_the_sources(self, merged):
        mixture = make_mixture(replace(merged, episodes=[1]), [], OPTIONS, recipe(), held_out=True)
        assert len(mixture.dataset) == 11


class TestRefusals:
    @pytest.fixture
    def copy(self, merged, tmp_path):
        shutil.copytree(merged.root, tmp_path / "copy")
        return replace(merged, root=str(tmp_path / "copy"))

    def test_a_newer_schema(self, copy):
        path = Path(copy.root) / MERGE_PATH
        path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
        with pytest.raises(ValueError, match=r"ambient_merge.json has schema version 2, .* reads up to 1; upgrade"):
            make_mixture(copy, [], OPTIONS, recipe())

    def test_a_copy_that_lost_the_file(self, copy):
        (Path(copy.root) / MERGE_PATH).unlink()
        with pytest.raises(ValueError, match=r"has the columns .*ambient.source.* but no meta/ambient_merge.json in"):
            make_mixture(copy, [], OPTIONS, recipe())

    def test_a_data_set_that_was_changed_after_the_merge(self, copy):
        path = Path(copy.root) / "meta" / "info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"total_episodes": 10}))
        with pytest.raises(
            ValueError, match=r"changed after it was merged: .* 9 episodes and 108 frames, .* of 10 and 108"
        ):
            make_mixture(copy, [], OPTIONS, recipe())

    def test_depth_cameras(self, tmp_path):
        spec = {"dtype": "image", "shape": (8, 9, 1), "names": ["height", "width", "channels"]}
        features = {
            "action": {"dtype": "float32", "shape": (1,), "names": None},
            "observation.images.depth": spec | {"info": {"is_depth_map": True}},
        }
        dataset = LeRobotDataset.create("me/depth", 10, features, root=tmp_path / "depth", use_videos=False)
        for t in range(12):
            image = np.full((8, 9, 1), 1000 + t, dtype=np.uint16)
            dataset.add_frame(
                {"action": np.float32([t]), "observation.images.depth": image, "task": "go"},
            )
        dataset.save_episode()
        dataset.finalize()
        with pytest.raises(ValueError, match=r"'me/depth': \['observation.images.depth'\] hold depth"):
            make_mixture(Source("me/depth", root=str(tmp_path / "depth")), [], OPTIONS, recipe())

    def test_values_that_contradict_each_other(self):
        with pytest.raises(ValueError, match=r"'me/a': its episodes \[3, 3\) are empty"):
            MergedSource("me/a", "me/a", None, 10.0, (3, 3), 0)
        with pytest.raises(ValueError, match="'me/a' has both one window"):
            MergedSource("me/a", "me/a", None, 10.0, (0, 3), 9, window=Window(0.3), per_frame=True)
        gap = [MergedSource("me/a", "me/a", None, 10.0, span, 9) for span in ((0, 2), (3, 4))]
        normalization = ActionNormalization("MIN_MAX", False, (0.0,), (1.0,), 8)
        with pytest.raises(ValueError, match=r"episodes leave gaps or overlap: \[\(0, 2\), \(3, 4\)\]"):
            MergedFile(tuple(gap), {}, normalization, "absolute", ())


def test_a_merged_data_set_can_be_merged_again(merged, logical, tmp_path):
    twice = merge(make_mixture(merged, [], OPTIONS, recipe()), tmp_path / "twice", "me/twice")
    again = make_mixture(twice, [], OPTIONS, recipe())
    assert torch.equal(again.plan.joint, logical.plan.joint)
    got, wanted = (mixture.dataset.gather(range(0, 108, 7)) for mixture in (again, logical))
    assert differing(got, wanted) == ["episode_index", "index"]


level = st.floats(0, 1)
names = st.text(min_size=1, max_size=8)
windows = st.none() | st.builds(Window, level, level)


@st.composite
def merged_files(draw):
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    sources = []
    for span in consecutive(counts):
        window = draw(windows)
        sources.append(
            MergedSource(
                name=draw(names),
                repo_id=draw(names),
                revision=draw(st.none() | names),
                fps=draw(st.floats(1, 200)),
                episodes=span,
                frames=draw(st.integers(1, 1000)),
                weight=draw(st.floats(1e-3, 1e3)),
                window=window,
                per_frame=window is None and draw(st.booleans()),
                masked=tuple(draw(st.lists(names, max_size=3))),
                absent_cameras=draw(st.dictionaries(names, level, max_size=2)),
                normalization=draw(st.sampled_from(["target", "own"])),
            )
        )
    number = st.floats(-1e6, 1e6)
    stats = {"action": {"min": np.array(draw(st.lists(number, min_size=1, max_size=3))), "count": np.array([7])}}
    values = tuple(draw(st.lists(number, min_size=1, max_size=3)))
    normalization = ActionNormalization("MEAN_STD", draw(st.booleans()), values, values, 16)
    lines = tuple(draw(st.lists(names, max_size=2)))
    renamed = draw(st.dictionaries(names, names, max_size=2))
    return MergedFile(tuple(sources), stats, normalization, "delta", lines, renamed)


@given(merged_files())
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, file):
    root = tmp_path_factory.mktemp("file")
    (root / "meta").mkdir()
    write_merged_file(file, root)
    again = load_merged_file(root)
    assert again == file
    assert again.sources == file.sources
    assert np.array_equal(again.stats["action"]["min"], file.stats["action"]["min"])
    assert [path.name for path in (root / "meta").iterdir()] == ["ambient_merge.json"]


def test_metadata_of_lerobot_is_untouched(merged):
    meta = LeRobotDatasetMetadata("me/merged", root=merged.root)
    assert meta.features["ambient.source"] == {"dtype": "int64", "shape": (1,), "names": None}
    assert (meta.total_episodes, meta.total_frames, meta.total_tasks) == (9, 108, 3)
