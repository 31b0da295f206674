# SPDX-License-Identifier: Apache-2.0
"""Buckets partition chunks, rules read what the user wrote, and windows per bucket span N = 1 to N = |D|."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.annotate.buckets.partition import (
    Buckets,
    by_cluster,
    by_column,
    by_episode,
    by_stretch,
    by_task,
    one_bucket,
)
from lerobot_ambient.annotate.buckets.rules import parse_bucket_rule, read_user_column
from lerobot_ambient.annotate.buckets.windows import bucket_windows
from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
from lerobot_ambient.annotate.classifier.curves import first_crossing, sigma_min_of
from lerobot_ambient.annotate.classifier.held_out import ChunkScores, episode_mean
from lerobot_ambient.annotate.classifier.options import BUCKET_FORMS
from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions, open_dataset

SIGMAS = np.linspace(0.01, 0.99, 12)
LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def episodes_of(lengths):
    """(N,) numbers that neither start at 0 nor ascend."""
    return np.repeat([7 * (len(lengths) - i) for i in range(len(lengths))], lengths).astype(np.int64)


def scores_of(episode, seed=0, spread=0.2):
    """c that rises with sigma, with noise."""
    rng = np.random.default_rng(seed)
    rise = 0.5 / (1 + np.exp(-8 * (SIGMAS - rng.uniform(0, 1, (len(episode), 1)))))
    mean = np.clip(rise + spread * rng.normal(size=rise.shape), 0, 1).astype(np.float32)
    error = rng.uniform(0.01, 0.05, mean.shape).astype(np.float32)
    return ChunkScores(np.arange(len(episode)), episode, np.zeros(len(episode), np.int64), mean, error)


def blobs(per_blob, centres=4, seed=0):
    """Chunks around far-apart points, and the point each belongs to."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(centres), per_blob))
    x_0 = 10.0 * which[:, None, None] + 0.1 * rng.normal(size=(len(which), 3, 2))
    return ArrayChunks("blobs", torch.tensor(x_0, dtype=torch.float32), np.arange(len(which)) // 10), which


@given(lengths=LENGTHS, length=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_stretches_are_successive_chunks_of_one_episode_and_as_long_as_asked(lengths, length):
    episode = episodes_of(lengths)
    buckets = by_stretch(episode, length)
    assert len(buckets) == sum(-(-n // length) for n in lengths)
    assert (np.diff(buckets.labels) >= 0).all()
    for bucket in range(len(buckets)):
        mine = np.flatnonzero(buckets.labels == bucket)
        assert len(set(episode[mine])) == 1
        is_last = mine[-1] + 1 == len(episode) or episode[mine[-1] + 1] != episode[mine[0]]
        assert len(mine) == length or (is_last and len(mine) < length)


@given(lengths=LENGTHS, order=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_labels_partition_chunks_whatever_their_order(lengths, order):
    episode = episodes_of(lengths)
    shuffled = list(range(len(episode)))
    order.shuffle(shuffled)
    buckets, again = by_episode(episode), by_episode(episode[shuffled])
    np.testing.assert_array_equal(buckets.labels[shuffled], again.labels)
    assert buckets.sizes.sum() == len(episode) and (buckets.sizes > 0).all()
    assert buckets.names == [f"episode {number}" for number in sorted(set(episode.tolist()))]
    same_bucket = buckets.labels[:, None] == buckets.labels
    np.testing.assert_array_equal(same_bucket, episode[:, None] == episode)


def test_stretches_of_one_are_chunks_and_long_ones_are_episodes():
    episode = episodes_of([4, 1, 3])
    np.testing.assert_array_equal(by_stretch(episode, 1).labels, np.arange(8))
    np.testing.assert_array_equal(by_stretch(episode, 100).labels, [0, 0, 0, 0, 1, 2, 2, 2])
    assert by_stretch(episode, 3).names == [
        "episode 21, chunk 0 to 2",
        "episode 21, chunk 3",
        "episode 14, chunk 0",
        "episode 7, chunk 0 to 2",
    ]


def test_tasks_and_columns_name_their_buckets():
    buckets = by_task(np.array([2, 0, 2]), ["push", "lift", "turn"])
    assert buckets.labels.tolist() == [1, 0, 1] and buckets.names == ["task 'push'", "task 'turn'"]
    assert by_column(np.array(["eve", "ann", "eve"]), "operator").names == ["operator=ann", "operator=eve"]
    assert by_column(np.array([0.1, 2.0], dtype=np.float32), "load").names == ["load=0.1", "load=2.0"]


def test_clusters_find_motions_that_are_apart():
    chunks, which = blobs(50)
    buckets = by_cluster(chunks, 4)
    np.testing.assert_array_equal(buckets.labels[:, None] == buckets.labels, which[:, None] == which)


def test_clusters_do_not_depend_on_blocks_or_the_sample_s_size(monkeypatch):
    chunks, _ = blobs(200)
    whole = by_cluster(chunks, 4)
    monkeypatch.setattr("lerobot_ambient.annotate.buckets.partition.GATHER", 7)
    np.testing.assert_array_equal(by_cluster(chunks, 4).labels, whole.labels)
    monkeypatch.setattr("lerobot_ambient.annotate.buckets.partition.FIT_CHUNKS", 100)
    fewer = by_cluster(chunks, 4).labels
    np.testing.assert_array_equal(fewer[:, None] == fewer, whole.labels[:, None] == whole.labels)


def test_clusters_neither_read_nor_touch_the_global_generator():
    chunks, _ = blobs(30, centres=5)
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()
    torch_state = torch.get_rng_state()
    first = by_cluster(chunks, 3, seed=5).labels
    assert np.random.get_state()[1].tolist() == state
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.random.seed(2)
    np.testing.assert_array_equal(by_cluster(chunks, 3, seed=5).labels, first)


def test_a_cluster_that_no_chunk_joins_is_left_out():
    chunks = ArrayChunks("copies", torch.zeros(20, 3, 2), np.arange(20))
    buckets = by_cluster(chunks, 3)
    assert len(buckets) == 1 and buckets.sizes.tolist() == [20]


def test_buckets_refuse_what_is_no_partition():
    with pytest.raises(ValueError, match=r"labels of 2 chunks must lie in \[0, 2\)"):
        Buckets(np.array([0, 2]), 2, str)
    with pytest.raises(ValueError, match="bucket 1 of 3 holds no chunk"):
        Buckets(np.array([0, 2]), 3, str)
    with pytest.raises(ValueError, match="stretches of 0 chunks"):
        by_stretch(np.zeros(3, np.int64), 0)
    chunks, _ = blobs(1)
    with pytest.raises(ValueError, match="5 clusters of the 4 chunks of 'blobs': ask for 1 to 4"):
        by_cluster(chunks, 5)


@pytest.mark.parametrize("text", ["episode", "task", "column:operator", "column:a:b", "clusters:12", "stretch:1"])
def test_rules_read_what_they_write(text):
    assert str(parse_bucket_rule(text)) == text
    assert parse_bucket_rule(text) == parse_bucket_rule(text)


@pytest.mark.parametrize("text", ["", "episodes", "episode:3", "task:", "column", "column:", "clusters", "Stretch:3"])
def test_an_unknown_rule_lists_the_forms(text):
    with pytest.raises(ValueError, match=f"'{text}' names no buckets; write one of {', '.join(BUCKET_FORMS)}"):
        parse_bucket_rule(text)


@pytest.mark.parametrize("text", ["clusters:0", "clusters:", "stretch:-1", "stretch:2.5", "stretch:\u00b2"])
def test_a_rule_wants_a_whole_number(text):
    with pytest.raises(ValueError, match=f"'{text}' needs a whole number of at least 1"):
        parse_bucket_rule(text)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory, write_dataset):
    """A target, and a source recorded by two operators at two stations, one of whose episodes is left out."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    folder = tmp_path_factory.mktemp("buckets")
    rng = np.random.default_rng(0)
    two = {"dtype": "float32", "shape": (2,), "names": ["x", "y"]}
    features = {
        "observation.state": two,
        "action": two,
        "operator": {"dtype": "string", "shape": (1,), "names": None},
        "station": {"dtype": "int64", "shape": (1,), "names": None},
    }
    written = LeRobotDataset.create("me/sim", fps=10, features=features, root=folder / "sim", use_videos=False)
    for operator, length in (("eve", 12), ("ann", 14), ("eve", 16)):
        for t in range(length):
            state = rng.normal(size=2).astype(np.float32)
            station = np.array([t // 8])
            task = "lift" if operator == "ann" else "go"
            written.add_frame(
                {"observation.state": state, "action": state, "operator": operator, "station": station, "task": task}
            )
        written.save_episode()
    written.finalize()
    target = write_dataset(folder / "target", "me/target", [20, 11], seed=1, env_state=False, names=["x", "y"])
    schedule = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
    recipe = MixtureRecipe(
        schedule=schedule, mixing=Cotrain(), action_mode="MIN_MAX", relative_actions=False, drop_n_last_frames=2
    )
    options = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
    source = Source("me/sim", root=str(folder / "sim"), episodes=[1, 2])
    return make_mixture(Source("me/target", root=str(target)), [source], options, recipe)


def test_rules_divide_the_chunks_of_a_mixture(mixture):
    sim = chunks_of(mixture)[1]
    first, second = sim.episode == 1, sim.episode == 2
    expected = {
        "episode": {"episode 1": first, "episode 2": second},
        "task": {"task 'go'": second, "task 'lift'": first},
        "column:operator": {"operator=ann": first, "operator=eve": second},
        "column:station": {"station=0": sim.frame < 8, "station=1": sim.frame >= 8},
        "stretch:20": {"episode 1, chunk 0 to 11": first, "episode 2, chunk 0 to 13": second},
    }
    for text, parts in expected.items():
        buckets = parse_bucket_rule(text)(mixture, 1, sim)
        assert buckets.names == list(parts)
        for bucket, inside in enumerate(parts.values()):
            np.testing.assert_array_equal(buckets.labels == bucket, inside)
    assert len(parse_bucket_rule("clusters:5")(mixture, 1, sim)) == 5


def test_columns_follow_the_frames_where_rows_lie_out_of_order(mixture, tmp_path):
    source = mixture.sources[1]
    root = shutil.copytree(source.meta.root, tmp_path / "shuffled")
    (file,) = root.glob("data/*/*.parquet")
    rows = pq.read_table(file)
    pq.write_table(rows.take(np.random.default_rng(0).permutation(len(rows))), file)
    shuffled = open_dataset(Source("me/sim", root=str(root), episodes=[1, 2]), "me/sim")
    for column in ("operator", "station"):
        np.testing.assert_array_equal(read_user_column(shuffled, column), read_user_column(source, column))


def test_labels_that_are_missing_are_named(mixture, tmp_path):
    root = shutil.copytree(mixture.sources[1].meta.root, tmp_path / "unlabelled")
    (file,) = root.glob("data/*/*.parquet")
    rows = pq.read_table(file)
    labels = [None, *rows["operator"].to_pylist()[1:]]
    at = rows.column_names.index("operator")
    pq.write_table(rows.set_column(at, "operator", pa.array(labels, pa.string())), file)
    source = open_dataset(Source("me/sim", root=str(root)), "me/sim")
    with pytest.raises(ValueError, match=r"'me/sim': column 'operator' cannot be read .*operator is null at frame 0"):
        read_user_column(source, "operator")


def test_a_column_that_is_not_there_is_named_with_those_that_are(mixture):
    target, source = mixture.sources
    with pytest.raises(ValueError, match=r"'me/sim': column 'pilot' is not there; .*: .*operator, station"):
        read_user_column(source, "pilot")
    with pytest.raises(ValueError, match=r"column 'action' holds float32 of shape \(2,\); buckets need one number"):
        read_user_column(source, "action")
    with pytest.raises(ValueError, match="'me/target': column 'operator' is not there"):
        read_user_column(target, "operator")


def test_one_bucket_is_the_data_set_and_stretches_of_one_are_data_points():
    episode = episodes_of([30, 20, 25, 40])
    scores = scores_of(episode)
    for rule in (first_crossing, None):
        options = {"rule": rule} if rule else {}
        whole = bucket_windows(scores, SIGMAS, one_bucket(len(episode)), tau=0.1, **options)
        mean = scores.mean.mean(0, dtype=np.float64)[None].astype(np.float32)
        np.testing.assert_array_equal(whole.curves, mean)
        np.testing.assert_array_equal(whole.sigma_min, sigma_min_of(SIGMAS, mean, 0.1, **options))
        assert set(whole.sigma_min_per_chunk) == set(whole.sigma_min)
        points = bucket_windows(scores, SIGMAS, by_stretch(episode, 1), tau=0.1, **options)
        np.testing.assert_array_equal(points.curves, scores.mean)
        np.testing.assert_array_equal(points.sigma_min_per_chunk, sigma_min_of(SIGMAS, scores.mean, 0.1, **options))
        np.testing.assert_allclose(points.draw_error, scores.standard_error, rtol=1e-6)


@given(lengths=LENGTHS, count=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_means_and_errors_are_those_of_each_bucket_s_episodes(lengths, count, seed):
    episode = episodes_of(lengths)
    scores = scores_of(episode, seed)
    buckets = by_column(np.random.default_rng(seed).integers(0, count, len(episode)), "x")
    windows = bucket_windows(scores, SIGMAS, buckets)
    for bucket in range(len(buckets)):
        mine = buckets.labels == bucket
        expected = episode_mean(scores.mean[mine], episode[mine])
        assert windows.sizes[bucket] == mine.sum() and windows.episodes[bucket] == expected.episodes
        np.testing.assert_allclose(windows.curves[bucket], expected.mean, rtol=1e-5)
        np.testing.assert_allclose(windows.standard_error[bucket], np.sqrt(expected.variance), rtol=1e-3, atol=1e-6)
        draws = np.sqrt((scores.standard_error[mine].astype(np.float64) ** 2).sum(0)) / mine.sum()
        np.testing.assert_allclose(windows.draw_error[bucket], draws, rtol=1e-5)
        low, high = windows.interval[bucket]
        assert low <= windows.sigma_min[bucket] <= high
        if expected.episodes == 1:
            assert (low, high) == (0.0, 1.0)


def test_windows_do_not_depend_on_the_order_of_chunks():
    episode = episodes_of([30, 20, 25])
    scores, labels = scores_of(episode), np.arange(75) % 5
    order = np.random.default_rng(1).permutation(75)
    mixed = ChunkScores(order, episode[order], scores.fold[order], scores.mean[order], scores.standard_error[order])
    one, other = (
        bucket_windows(s, SIGMAS, Buckets(which, 5, str)) for s, which in ((scores, labels), (mixed, labels[order]))
    )
    np.testing.assert_allclose(one.sigma_min, other.sigma_min, atol=1e-6)
    np.testing.assert_allclose(one.interval, other.interval, atol=1e-6)


def test_the_interval_covers_the_window_of_the_law_the_episodes_come_from():
    rng = np.random.default_rng(3)
    truth = 0.25 + 0.25 * SIGMAS
    expected = sigma_min_of(SIGMAS, truth[None], 0.1)[0]
    episode = np.repeat(np.arange(400), 10)
    mean = truth + 0.1 * np.repeat(rng.normal(size=400), 10)[:, None] + 0.02 * rng.normal(size=(4000, len(SIGMAS)))
    scores = ChunkScores(
        np.arange(4000), episode, episode * 0, mean.astype(np.float32), np.zeros(mean.shape, np.float32)
    )
    # 40 buckets of 10 episodes each.
    windows = bucket_windows(scores, SIGMAS, by_column(episode // 10, "batch"), tau=0.1)
    covers = (windows.interval[:, 0] <= expected) & (expected <= windows.interval[:, 1])
    assert covers.mean() >= 0.9
    assert np.median(np.diff(windows.interval)) < 0.8


def test_the_summary_says_how_large_and_how_sure():
    episode = episodes_of([30, 20, 25, 40])
    points = bucket_windows(scores_of(episode), SIGMAS, by_stretch(episode, 1))
    assert points.to_dict()["single_episode"] == 1.0
    text = "\n".join(points.lines())
    assert "115 buckets of 1 to 1 chunks" in text and "100.0% of the buckets lie within one episode" in text
    sure = bucket_windows(scores_of(np.arange(4000), spread=0.01), SIGMAS, one_bucket(4000))
    assert sure.to_dict()["wide"] == 0.0 and len(sure.lines()) == 1


def test_buckets_of_other_chunks_are_refused():
    with pytest.raises(ValueError, match="scores of 30 chunks and buckets of 5; score every chunk"):
        bucket_windows(scores_of(episodes_of([30])), SIGMAS, one_bucket(5))
    with pytest.raises(ValueError, match=r"tau = 0\.7 must lie in"):
        bucket_windows(scores_of(episodes_of([30])), SIGMAS, one_bucket(30), tau=0.7)
