# SPDX-License-Identifier: Apache-2.0
"""The story from recording to rollout: its stages, its report, and the whole of it in small."""

import json
import sys
from pathlib import Path

import pytest

from lerobot_ambient.benchmarks.walkthroughs.arm_story import ArmStoryOptions, stages_of
from lerobot_ambient.benchmarks.walkthroughs.arm_story_report import results_of, text_of
from lerobot_ambient.benchmarks.walkthroughs.beside_arms import run_beside_arms
from lerobot_ambient.integration.commands.stages import Stage, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT

REAL_PYTHON = sys.executable
"""Whatever stands in its place within a test."""
ORDER = ["target", "source", "windows", "train", "hub", "rollout", "rollout_recorded"]


def test_the_stages_stand_in_their_order_and_use_lerobots_commands(tmp_path):
    stages = stages_of(ArmStoryOptions(tmp_path))
    assert [stage.folder.name for stage in stages] == ORDER
    for stage, command in zip(
        stages, ["record", "record", "ambient", "train", "through_hub", "rollout", "rollout"], strict=True
    ):
        names = (f"lerobot-{command}", f"lerobot_{command}", f".{command}")
        assert any(name in word for word in stage.command for name in names), command


def test_no_key_depends_on_where_the_story_lies(tmp_path):
    here, there = (stages_of(ArmStoryOptions(tmp_path / name)) for name in ("here", "there"))
    assert [stage.key for stage in here] == [stage.key for stage in there]
    longer = stages_of(ArmStoryOptions(tmp_path / "here", steps=7))
    changed = [a.folder.name for a, b in zip(here, longer, strict=True) if a.key != b.key]
    assert changed == ["train", "hub", "rollout", "rollout_recorded"]


def test_what_stands_between_training_and_rollout_can_be_given(tmp_path):
    seen = []

    def publish(train: Stage):
        seen.append(train.folder.name)
        push = Stage(tmp_path / "push", {"command": "push", "policy": train.key}, ["true"])
        return [push], "me/policy"

    stages = stages_of(ArmStoryOptions(tmp_path), publish)
    assert [stage.folder.name for stage in stages] == [*ORDER[:4], "push", *ORDER[5:]]
    assert all("--policy.path=me/policy" in stage.command for stage in stages[-2:])
    assert seen == ["train"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"episodes": 1}, "at least 2"), ({"fps": 0}, "fps is 0"), ({"rollout_seconds": -1.0}, "must be positive")],
)
def test_sizes_that_make_no_story_are_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        ArmStoryOptions(tmp_path, **changed)


def test_what_does_not_come_back_as_pushed_is_named(tmp_path, monkeypatch):
    from lerobot_ambient.benchmarks.walkthroughs import through_hub

    sent, received = tmp_path / "sent", tmp_path / "received"
    for folder, text in ((sent, "a"), (received, "b")):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "weights").write_text(text)
    (sent / "only_here").write_text("")
    started = []

    def run(command, *, env, check):
        assert check and env["HF_ENDPOINT"].startswith("http://127.0.0.1:")
        started.append(command)

    monkeypatch.setattr(through_hub.subprocess, "run", run)
    with pytest.raises(ValueError, match=r"^only_here, weights of .* did not come back"):
        through_hub.through_hub(sent, received, "me/policy")
    assert ["--push" in started[0], "download" in started[1]] == [True, True]


@pytest.fixture
def plan(tmp_path):
    arm = {"port": str(tmp_path / "arm" / "follower"), "calibration_dir": str(tmp_path / "calibration")}
    states = str(tmp_path / "states.json")
    return {"arms": [arm], "attempts": 3, "clear": [str(tmp_path / "run")], "states": states}


def counting(tmp_path, *, until: int, says: str) -> list[str]:
    """A command that fails with `says` until its `until`-th start; it needs the arm and a cleared folder."""
    code = (
        "import os, sys; from pathlib import Path\n"
        f"count, folder = Path({str(tmp_path / 'count')!r}), Path({str(tmp_path / 'run')!r})\n"
        f"assert Path({str(tmp_path / 'arm' / 'follower')!r}).is_symlink() and not folder.exists()\n"
        "folder.mkdir(); n = int(count.read_text()) + 1 if count.exists() else 1; count.write_text(str(n))\n"
        f"sys.exit(0 if n >= {until} else print({says!r}) or 3)"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("until", "says", "code", "starts"),
    [
        (1, "", 0, 1),
        (2, "There is no status packet!", 0, 2),
        (2, "TimeoutError: latest frame is too old: 676.2 ms", 0, 2),
        (9, "There is no status packet!", 3, 3),
        (2, "out of memory", 3, 1),
    ],
)
def test_a_command_is_started_again_only_where_an_arm_was_late(plan, tmp_path, until, says, code, starts):
    assert run_beside_arms(plan, counting(tmp_path, until=until, says=says)) == code
    assert int((tmp_path / "count").read_text()) == starts
    assert json.loads(Path(plan["states"]).read_text())["follower"]["torque"] == [False] * 6


def test_faults_on_purpose_are_not_tried_again(plan, tmp_path):
    plan["arms"][0]["faults"] = ["no_answer:motor=3"]
    assert run_beside_arms(plan, counting(tmp_path, until=2, says="There is no status packet!")) == 3
    assert int((tmp_path / "count").read_text()) == 1


def with_patience(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeRobot's commands wait for 0.25 s, not 0.05 s, for a motor, and for 5 s for a frame: both may be late here.

    The first start of each is a process of its own: no other test starts these commands as a user does.
    """
    patient = folder / "patient.py"
    patient.write_text(
        "import runpy, sys\n"
        "from lerobot.motors.feetech import feetech\n"
        "shipped = feetech.patch_setPacketTimeout\n"
        "def wait(handler, length):\n"
        "    shipped(handler, length)\n"
        "    handler.packet_timeout += 200\n"
        "feetech.patch_setPacketTimeout = wait\n"
        "from lerobot.cameras.opencv.camera_opencv import OpenCVCamera\n"
        "latest = OpenCVCamera.read_latest\n"
        "OpenCVCamera.read_latest = lambda self, max_age_ms=5000: latest(self, max_age_ms)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    started = set()

    def command(script: str, module: str) -> list[str]:
        if script not in ("lerobot-record", "lerobot-rollout"):
            return stock_command(script, module)
        first = script not in started
        started.add(script)
        python = REAL_PYTHON if first else sys.executable
        return [python, str(patient), str(Path(REAL_PYTHON).with_name(script))]

    monkeypatch.setattr("lerobot_ambient.benchmarks.walkthroughs.arm_story.stock_command", command)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("preloaded_commands")
def test_the_whole_story_in_small(tmp_path, monkeypatch):
    pytest.importorskip("scservo_sdk", reason="THE STORY OF AN ARM IS NOT TRIED: install the extra arm")
    with_patience(tmp_path, monkeypatch)
    from lerobot_ambient.benchmarks.walkthroughs.arm_story import run_story
    from lerobot_ambient.cli.laboratory.bench_latency import run_latency as bench

    options = ArmStoryOptions.quick(tmp_path)
    stages = run_story(options, progress=False)
    results = results_of(options, stages)
    assert list(results["stages"]) == ORDER and all(results["stages"].values())
    assert [one["source"] for one in results["windows"]] == ["me/shaky"]
    for name, found in results["control"].items():
        # A crowded machine loses frames, so only the upper bound is the rate's.
        assert 0 < found["found"] <= found["wanted"] + options.episodes, name
    assert "goals reached the arm every" in text_of(results)
    checkpoint = tmp_path / "train" / LAST_CHECKPOINT
    pulled = tmp_path / "hub" / "run"
    assert (pulled / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    assert "me/shaky" in (pulled / "README.md").read_text()
    names = json.loads((checkpoint / "config.json").read_text())["feature_names"]
    assert names["action"][0] == "shoulder_pan.pos"

    class Arguments:
        path, samplers, rounds, json = str(checkpoint), "DDIM:2,DDPM:3", 1, True

    # Exit code 0: the actions are those of stock diffusion, bit for bit.
    assert bench(Arguments) == 0
