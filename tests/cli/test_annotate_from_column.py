# SPDX-License-Identifier: Apache-2.0
"""`annotate --from-column`: samples of like score get a window of their own, and doubtful ones keep theirs."""

import json

import numpy as np
import pytest

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.data.windows.windows_file import read_windows
from tests.integration.heldout.decisions import FEATURES, FPS, command, episode, options, write

SCORED = {**FEATURES, "score": {"dtype": "float32", "shape": (1,), "names": None}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of the source's 60 episodes two in three decide rightly and have a score of 0.8 or 1, the others one of 0."""
    folder = tmp_path_factory.mktemp("scored")
    write(folder / "target", "me/target", 24, seed=1)
    rng = np.random.default_rng(7)
    made = []
    for number in range(60):
        wrong = number % 3 == 0
        one = episode(rng, wrong=wrong)
        score = 0.0 if wrong else 0.8 + 0.2 * (number % 2)
        made.append({**one, "score": np.full(len(one["action"]), score, dtype=np.float32)})
    write_low_dim_dataset(folder / "sim", "me/sim", FPS, SCORED, made, "reach")
    return folder


@pytest.fixture
def annotate(home, capsys):
    return command(home, "sim", capsys)


def test_each_score_gets_a_window(annotate, tmp_path):
    code, printed = annotate("--from-column=score", f"--windows-dir={tmp_path}", "--json")
    assert code == 0, printed.err
    (entry,) = json.loads(printed.out)
    assert [part["part"] for part in entry["parts"]] == ["me/sim, score 0", "me/sim, score 0.8", "me/sim, score 1"]
    assert sum(part["samples"] for part in entry["parts"]) == 60 * 24
    worst, *others = (part["everywhere"]["ratio"] for part in entry["parts"])
    assert worst > max(others)
    table = read_windows(tmp_path / "me__sim.parquet")
    assert (table.granularity, len(np.unique(table.episode_index))) == ("bucket", 60)
    closed = {number: float(table.sigma_min[table.episode_index == number].max()) for number in range(60)}
    assert all(closed[number] == 1.0 for number in range(0, 60, 3))
    # Samples of one score share a window.
    assert len({closed[number] for number in range(1, 60, 6)}) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from-column=mark"], "'me/sim': column 'mark' is not there"),
        (["--from-column=task_index"], "column 'task_index' is 0 for every sample"),
        (["--from-column=score", "--bins=1"], "bins = 1 must be at least 2"),
        (["--bins=4"], "--bins=4 divides a score, and --from-column names none"),
        (["--from-column=score", "--write-config=mine.yaml"], "add --write or --windows-dir to --write-config"),
    ],
)
def test_input_is_checked(annotate, arguments, said):
    code, printed = annotate(*arguments)
    assert code != 0
    assert said in printed.err


def test_a_number_with_many_values_is_divided_by_quantiles(annotate, home):
    from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
    from lerobot_ambient.annotate.heldout.scored_parts import scored_parts
    from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_without_windows

    mixture = mixture_without_windows(load_train_config(None, options(home / "target", home / "sim")))
    source = chunks_of(mixture)[1]
    parts = scored_parts(mixture, 1, source, "index", 4)
    assert [len(part) for part in parts] == [360] * 4
    assert parts[0].name == "me/sim, index 0 to 359"
    np.testing.assert_array_equal(np.concatenate([part.rows for part in parts]), source.rows)
