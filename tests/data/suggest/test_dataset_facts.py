# SPDX-License-Identifier: Apache-2.0
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.suggest.dataset_facts import facts_of


@pytest.fixture(scope="module")
def root(tmp_path_factory, write_dataset):
    folder = tmp_path_factory.mktemp("facts") / "sim"
    return write_dataset(folder, "me/sim", [30, 12, 25], seed=4, image=(12, 16), keys={"action": "actions"}, fps=20)


def test_facts_are_those_of_the_selected_episodes(root):
    import pandas as pd

    frames = pd.concat(pd.read_parquet(file) for file in sorted((root / "data").glob("*/*.parquet")))
    for episodes in (None, [1], [0, 2]):
        facts = facts_of(Source("me/sim", root=str(root), episodes=episodes, rename={"actions": "action"}))
        chosen = frames if episodes is None else frames[frames.episode_index.isin(episodes)]
        values = np.stack(chosen["actions"])
        for which in ("min", "max", "mean", "std"):
            assert facts.stats["action"][which] == pytest.approx(getattr(values, which)(0), rel=1e-4), which
    assert facts.fps == 20
    assert facts.camera_keys == ["observation.images.cam"]
    assert facts.numeric_keys == ["observation.state", "action", "observation.environment_state"]


def test_stats_json_serves_where_episodes_have_none(root, tmp_path):
    import pyarrow.parquet as pq

    copy = shutil.copytree(root, tmp_path / "sim")
    (file,) = (copy / "meta" / "episodes").glob("*/*.parquet")
    table = pq.read_table(file)
    pq.write_table(table.drop([name for name in table.column_names if name.startswith("stats/actions/")]), file)
    expected = facts_of(Source("me/sim", root=str(root)))
    facts = facts_of(Source("me/sim", root=str(copy)))
    for which in ("min", "max", "mean", "std"):
        assert facts.stats["actions"][which] == pytest.approx(expected.stats["actions"][which], rel=1e-5)


def test_an_episode_with_a_nan_does_not_spoil_the_statistics(root, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = shutil.copytree(root, tmp_path / "sim")
    (file,) = (copy / "meta" / "episodes").glob("*/*.parquet")
    table = pq.read_table(file)
    name = "stats/actions/max"
    broken = table[name].to_pylist()
    broken[1][0] = float("nan")
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(broken, table[name].type)), file)
    facts = facts_of(Source("me/sim", root=str(copy)))
    expected = facts_of(Source("me/sim", root=str(root), episodes=[0, 2]))
    assert facts.stats["actions"]["max"] == pytest.approx(expected.stats["actions"]["max"])


def test_a_declared_frame_rate_counts(root):
    assert facts_of(Source("me/sim", root=str(root), fps=5.0)).fps == 5.0


def test_a_rename_of_an_unknown_key_is_refused(root):
    with pytest.raises(ValueError, match=r"'me/sim': rename names \['act'\], but the dataset's keys are"):
        facts_of(Source("me/sim", root=str(root), rename={"act": "action"}))


def test_the_usual_range_is_lerobots_quantiles_and_a_jerk_does_not_move_it(root, tmp_path):
    facts = facts_of(Source("me/sim", root=str(root)))
    # The episodes' own, weighted by their frames: what LeRobot 0.6.1 writes of the dataset.
    episodes = pq.read_table(root / "meta/episodes").to_pydict()
    weights = np.array(episodes["length"]) / sum(episodes["length"])
    names = facts.names("actions")
    for axis, name in enumerate(names):
        low, high = (weights @ np.array(episodes[f"stats/actions/{which}"])[:, axis] for which in ("q01", "q99"))
        assert facts.usual_range("actions", name) == pytest.approx((low, high))
    lacking = replace(facts, stats={"actions": {"min": [0.0, 1.0], "max": [3.0, 4.0]}})
    assert lacking.usual_range("actions", names[1]) == (1.0, 4.0)
