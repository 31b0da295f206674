# SPDX-License-Identifier: Apache-2.0
"""Meta-World's demonstrations: successes, planted faults that can be seen, pure in their seed, whole on disk."""

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

pytest.importorskip("metaworld", reason="needs the extra 'metaworld'")

from lerobot_ambient.benchmarks.tasks.metaworld import demonstrations, simulation
from lerobot_ambient.benchmarks.tasks.metaworld.data import make_metaworld_data
from lerobot_ambient.benchmarks.tasks.metaworld.demonstrations import (
    TAIL,
    Demonstration,
    source_demonstration,
    target_demonstration,
)
from lerobot_ambient.benchmarks.tasks.metaworld.faults import FAULTS, Fault
from lerobot_ambient.benchmarks.tasks.metaworld.simulation import Simulation
from lerobot_ambient.benchmarks.tasks.metaworld.task import FPS, GOAL, TASKS
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.cli.laboratory import make_data

DRAWER, PUSH = TASKS["drawer-open-v3"], TASKS["push-v3"]
"""The drawer is the quickest to simulate."""


@cache
def faulty(fault: str, strength: float = 1.0, task: Any = DRAWER) -> Demonstration:
    return source_demonstration(task, Fault(fault, strength), 0, 0)  # type: ignore[arg-type]


def surroundings(one: Demonstration) -> np.ndarray:
    return one.frames["observation.environment_state"]


def acceleration(one: Demonstration) -> float:
    return mean_squared_acceleration(one.frames["observation.state"][:, :3], FPS)


def same(one: Demonstration, two: Demonstration) -> bool:
    return all(np.array_equal(one.frames[key], two.frames[key]) for key in one.frames)


def test_a_demonstration_is_pure_in_its_arguments() -> None:
    one = target_demonstration(DRAWER, 0, 1)
    target_demonstration(DRAWER, 0, 2)
    np.random.seed(5)
    assert one.success and same(one, target_demonstration(DRAWER, 0, 1))
    others = (target_demonstration(DRAWER, 1, 1), target_demonstration(DRAWER, 0, 0), faulty("none"))
    assert len({surroundings(other)[0].tobytes() for other in (one, *others)}) == 4


def test_a_demonstration_goes_on_a_little_after_its_success_and_succeeds_when_replayed() -> None:
    one = target_demonstration(DRAWER, 0, 1)
    simulation = Simulation(DRAWER)
    sequence = np.random.SeedSequence(0, spawn_key=(demonstrations._STREAM, 0, 1, 0))
    simulation.reset(demonstrations._layout_seed(sequence))
    reports = [simulation.act(action) for action in one.frames["action"]]
    assert reports.index(True) == len(reports) - 1 - TAIL


def test_every_fault_starts_from_the_same_layout() -> None:
    starts = [surroundings(faulty(fault))[0] for fault in ("none", "tremble", "slow", "delay")]
    assert all(np.array_equal(start, starts[0]) for start in starts)


def test_trembling_is_rough_and_slowness_smooth() -> None:
    perfect, mild, strong, slow = (faulty("none"), faulty("tremble", 0.5), faulty("tremble"), faulty("slow"))
    assert acceleration(perfect) < acceleration(mild) < acceleration(strong)
    assert acceleration(strong) > 1.4 * acceleration(perfect)
    assert len(slow.frames["action"]) > 1.8 * len(perfect.frames["action"])
    assert acceleration(slow) < 0.5 * acceleration(perfect)
    # It stands still now and then: the commands repeat.
    assert (np.abs(np.diff(slow.frames["action"][:, :3], axis=0)).max(1) == 0.0).sum() >= 3


def test_other_gains_lag_and_a_delay_repeats_what_was_meant() -> None:
    perfect, gains, late = faulty("none"), faulty("gains"), faulty("delay")
    lags = [
        np.abs(one.frames["action"][:30, :3] - one.frames["observation.state"][:30, :3]).mean()
        for one in (perfect, gains)
    ]
    assert lags[1] > 1.3 * lags[0]
    # The first commands answer the first sight, so they go on straight.
    steps = np.diff(late.frames["action"][:3, :3], axis=0)
    assert steps[1] == pytest.approx(steps[0], abs=1e-6)
    assert not same(perfect, late)


def test_a_wrong_goal_is_only_a_wrong_label() -> None:
    perfect, wrong = faulty("none", task=PUSH), faulty("wrong_goal", task=PUSH)
    assert np.array_equal(perfect.frames["action"], wrong.frames["action"])
    true, label = surroundings(perfect)[0, GOAL], surroundings(wrong)[0, GOAL]
    object_end = surroundings(perfect)[-1, :3]
    assert np.linalg.norm(object_end - true) < 0.5 < np.linalg.norm(object_end - label)
    half = surroundings(faulty("wrong_goal", 0.5, PUSH))[0, GOAL]
    assert half == pytest.approx((true + label) / 2, abs=1e-5)


def test_a_wrong_task_does_something_else() -> None:
    opened, closed = faulty("none"), faulty("wrong_task")
    moves = [surroundings(one)[-1, 1] - surroundings(one)[0, 1] for one in (opened, closed)]
    assert moves[0] < -1.0 < 1.0 < moves[1]  # in dm along y


def test_a_share_of_the_broken_is_perfect() -> None:
    pairs = [
        (source_demonstration(DRAWER, Fault("broken"), 0, number), source_demonstration(DRAWER, Fault(), 0, number))
        for number in range(3)
    ]
    perfect = [same(*pair) for pair in pairs]
    assert 0 < sum(perfect) < 3
    always = source_demonstration(DRAWER, Fault("broken", 1 / 0.3), 0, 0)
    assert not same(always, faulty("none"))


def test_wrong_faults_are_named() -> None:
    with pytest.raises(ValueError, match=r"the goal of drawer-open-v3 follows from the object.*--fault=wrong_task"):
        Fault("wrong_goal").require(DRAWER)
    with pytest.raises(ValueError, match=r"wrong_task has no strength, it was given 2"):
        Fault("wrong_task", 2.0)
    with pytest.raises(ValueError, match=r"broken: strength is 4, must lie in \(0, 3.33\]"):
        Fault("broken", 4.0)
    with pytest.raises(ValueError, match=r"'noisy' must be one of none, tremble"):
        Fault("noisy")  # type: ignore[arg-type]


def test_the_command_writes_both_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    flags = ["--task=drawer-open-v3", "--fault=tremble", "--target-episodes=1", "--source-episodes=2", "--json"]
    args = parser.parse_args(["make-data", "metaworld", f"--root={tmp_path}", *flags])
    assert args.run(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"]["successes"] == 1 and found["source"]["fault"] == "tremble"
    source = LeRobotDataset("ambient/metaworld_source", root=tmp_path / "source")
    assert source.num_episodes == 2 and source.meta.fps == FPS
    first = faulty("tremble")
    assert np.array_equal(
        source.hf_dataset.with_format("numpy")["action"][: len(first.frames["action"])], first.frames["action"]
    )
    # Another fault leaves the target as it is, and the source of the first in the way.
    (again,) = make_metaworld_data(
        tmp_path, task="drawer-open-v3", fault="slow", target_episodes=1, kinds=("target",), progress=False
    ).values()
    assert again["frames"] == found["target"]["frames"]
    with pytest.raises(ValueError, match=r"was made with .*'tremble'"):
        make_metaworld_data(tmp_path, task="drawer-open-v3", fault="slow", target_episodes=1, source_episodes=2)


def test_without_meta_world_the_command_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstrations, "_simulation", lambda task, physics: Simulation(TASKS[task], physics))
    monkeypatch.setitem(sys.modules, "metaworld.env_dict", None)
    simulation._kind_of.cache_clear()
    assert main(["make-data", "metaworld", f"--root={tmp_path}", "--fault=none"]) == 2
    message = capsys.readouterr().err
    assert "which is not installed: pip install 'lerobot_policy_ambient_diffusion[metaworld]'" in message


def test_the_command_offers_every_fault() -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    for fault in FAULTS:
        parser.parse_args(["make-data", "metaworld", "--root=x", f"--fault={fault}"])
