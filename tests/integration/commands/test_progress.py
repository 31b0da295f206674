# SPDX-License-Identifier: Apache-2.0
"""What a reader is told while an experiment's commands run."""

import io
import sys
from pathlib import Path

import pytest

from lerobot_ambient.integration.commands.progress import Display, Progress, clock, progress_in, roughly
from lerobot_ambient.integration.commands.stages import Stage, StageRunner

BAR = "{}:  12%|█▎        | {}/{} [00:01<00:05, 84.13step/s]"
TRAINING = BAR.format("Training", 120, 400)
BATCHES = BAR.format("Stepping through eval batches", 1, 2)
ROLLOUT = "Running rollout with at most 420 steps:  50%|█████     | 210/420 [00:02<?, ?it/s, running_success_rate=0.0%]"


@pytest.mark.parametrize(
    ("log", "command", "words", "share"),
    [
        (f"\r{BAR.format('Training', 119, 400)}\r{TRAINING}INFO Checkpoint", (), "step 120 of 400", 0.3),
        (f"\r{BATCHES}\n\n{ROLLOUT}\x1b[A", (), "batch 2 of 2, step 210 of 420", 0.75),
        (f"{ROLLOUT}\x1b[A\r{BATCHES}", (), "batch 2 of 2", 0.5),
        (
            "INFO Recording episode 0\nINFO Recording episode 3\n",
            ("lerobot-record", "--dataset.num_episodes=10"),
            "episode 4 of 10",
            0.3,
        ),
        (f"\r{BAR.format('sort source', 3, 6)}", (), "sort source, 3 of 6", 0.5),
        # Resumed: what the killed start had done is no longer said.
        (f"{TRAINING}\n$ lerobot-train --resume=true\n\r{BAR.format('Training', 0, 280)}", (), "step 0 of 280", 0.0),
    ],
)
def test_how_far_a_command_is_comes_from_its_log(log, command, words, share):
    assert progress_in(log, command) == Progress(words, pytest.approx(share))


@pytest.mark.parametrize("log", ["", "INFO loading", f"{TRAINING}\n$ lerobot-train --resume=true\nINFO loading"])
def test_a_command_that_has_said_nothing_is_loading(log):
    assert progress_in(log, ()) is None


def test_durations_have_the_digits_that_are_known():
    assert [clock(s) for s in (0.4, 59.6, 125, 7800)] == ["0 s", "1 min 0 s", "2 min 5 s", "2 h 10 min"]
    assert [roughly(s) for s in (1, 42, 600, 7200)] == ["about 5 s", "about 40 s", "about 10 min", "about 2.0 h"]


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watch(stream: io.StringIO, folder: Path) -> str:
    """Two trainings and an evaluation, the first training done in 100 s, the second looked at every second."""
    now = Clock()
    display = Display("final runs", ["train", "train", "eval"], 1, stream=stream, now=now)
    log = folder / "log.txt"
    display.begin("a/train", "train", log, ())
    now.time = 100.0
    display.end("a/train", 100.0)
    display.begin("b/train", "train", log, ())
    for _ in range(51):
        log.write_text(BAR.format("Training", 2 * int(now.time - 100), 200))
        display.show()
        now.time += 1.0
    return stream.getvalue()


def test_without_a_terminal_a_line_comes_now_and_then(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = watch(io.StringIO(), tmp_path).splitlines()
    assert lines == [
        "start stage 1 of 3 (final runs): a/train; follow it: tail -f log.txt",
        "done  a/train  1 min 40 s",
        "start stage 2 of 3 (final runs): b/train; follow it: tail -f log.txt",
        *(
            f"      stage 2 of 3 (final runs): b/train, step {2 * s} of 200, {s} s, about {left} left; all: {all_}"
            for s, left, all_ in ((15, "85 s", "1 min 55 s"), (30, "70 s", "2 min 10 s"), (45, "55 s", "2 min 25 s"))
        ),
    ]


def test_on_a_terminal_one_line_updates_and_others_stand_above_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = watch(Terminal(), tmp_path)
    assert text.count("\n") == 3
    drawn = text.split("\r\x1b[K")[-1]
    assert drawn == "stage 2 of 3 (final runs): b/train, step 100 of 200, 50 ..."
    assert len(drawn) == 59


def test_the_stages_left_are_estimated_from_those_of_their_kind(tmp_path):
    stream, now = io.StringIO(), Clock()
    display = Display("data", ["train"] * 4, 2, stream=stream, now=now)
    display.skip("train", 100.0)
    display.begin("b/train", "train", tmp_path / "log.txt", ())
    now.time = 60.0
    display.end("b/train", 60.0)
    # Two more of 80 s, side by side.
    assert stream.getvalue().splitlines()[-1] == "done  b/train  1 min 0 s, about 80 s left for the other 2"


def test_the_runner_tells_the_stage_its_log_and_its_end(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, new = (Stage(tmp_path / name / "train", {"name": name}, ["true"]) for name in ("a", "b"))
    StageRunner(tmp_path, 1, progress=False).run([[done]])
    failing = Stage(tmp_path / "c" / "eval", {}, [sys.executable, "-c", "import sys; sys.exit('no such camera')"])
    with pytest.raises(RuntimeError, match="no such camera"):
        StageRunner(tmp_path, 1).run([[done, new, failing]], "trial 3")
    assert capsys.readouterr().err.splitlines() == [
        "start stage 2 of 3 (trial 3): b/train; follow it: tail -f b/train/log.txt",
        "done  b/train  0 s",
        "start stage 3 of 3 (trial 3): c/eval; follow it: tail -f c/eval/log.txt",
    ]
