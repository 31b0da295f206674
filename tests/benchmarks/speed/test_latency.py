# SPDX-License-Identifier: Apache-2.0
"""`bench latency`: what it says of a checkpoint, and of the machine it ran on."""

import json
from pathlib import Path

import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.benchmarks.speed import latency as bench_latency
from lerobot_ambient.benchmarks.speed.busy import Stopwatch, doubts, spread
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy


def checkpoint_in(folder: Path, **more: PolicyFeature) -> str:
    config = AmbientDiffusionConfig(
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (2,)), **more},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        device="cpu",
        push_to_hub=False,
        horizon=8,
        n_action_steps=4,
        down_dims=(8, 16),
        n_groups=4,
        diffusion_step_embed_dim=8,
    )
    AmbientDiffusionPolicy(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("checkpoint")
    return checkpoint_in(folder, **{"observation.environment_state": PolicyFeature(FeatureType.ENV, (2,))})


@pytest.mark.parametrize(
    ("load", "share", "spread", "words"),
    [
        (1.5, 0.9, 0.5, []),
        (None, None, 0.0, []),
        (1.51, 1.0, 0.0, ["1.5 processes wanted the 2 cores in the minute before"]),
        (0.0, 0.89, 0.0, ["the measured calls got 89 % of a core"]),
        (0.0, 3.9, 0.51, ["the fastest and the slowest of equal calls differ by 51 % of their median"]),
    ],
)
def test_what_speaks_against_a_measurement(load, share, spread, words):
    assert doubts(load, 2, share, spread) == words


def test_the_spread_and_the_share_of_a_core():
    assert spread([1.0, 2.0, 4.0]) == 1.5
    watch = Stopwatch(wall=4.0, processor=1.0)
    assert watch.share == 0.25
    with watch:
        sum(range(100_000))
    assert 4.0 < watch.wall < 5.0 and 1.0 < watch.processor < 2.0


@pytest.mark.parametrize("busy", [False, True])
def test_a_busy_machine_is_named_in_text_and_json(checkpoint, monkeypatch, capsys, busy):
    monkeypatch.setattr(bench_latency, "load_average", lambda: 9.3 if busy else 0.1)
    monkeypatch.setattr(bench_latency, "cores", lambda: 2)
    # What the tests' own machine is busy with.
    monkeypatch.setattr(bench_latency, "spread", lambda seconds: 0.0)
    monkeypatch.setattr(bench_latency.Stopwatch, "share", 1.0)
    line = ["bench", "latency", f"--path={checkpoint}", "--samplers=DDIM:1,DDIM:2", "--rounds=1"]
    assert main(line) == 0
    text = capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one["load"], one["cores"], one["core_share"], one["spread"]) for one in rows] == [
        (9.3 if busy else 0.1, 2, 1.0, 0.0)
    ] * 2
    if busy:
        assert text.count("Hz ?\n") == 2
        assert "too busy to believe the rows marked '?':\n  9.3 processes wanted the 2 cores" in text
        assert all(one["doubts"] == ["9.3 processes wanted the 2 cores in the minute before"] for one in rows)
    else:
        assert "?" not in text
        assert all(one["doubts"] == [] for one in rows)


def test_a_policy_that_stock_diffusion_cannot_be_is_refused_by_name(tmp_path, capsys):
    assert main(["bench", "latency", f"--path={checkpoint_in(tmp_path)}"]) == 2
    assert f"{tmp_path} reads the state alone" in capsys.readouterr().err.splitlines()[-1]
