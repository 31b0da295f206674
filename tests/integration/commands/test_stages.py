# SPDX-License-Identifier: Apache-2.0
"""The stage runner, on commands of a line or two."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.commands.stages import Stage, StageError, StageRunner, stock_command

WRITE = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'out').write_text(sys.argv[2])"


def writer(folder: Path, text: str = "a", **inputs) -> Stage:
    """Writes `text`; fails, as lerobot-train does, when its folder exists."""
    command = [sys.executable, "-c", WRITE, str(folder / "run"), text]
    return Stage(folder, {"text": text, **inputs}, command, product="run/out")


def shell(folder: Path, script: str, **options) -> Stage:
    return Stage(folder, {"script": script}, ["sh", "-c", script], **options)


def runner(root: Path, jobs: int = 1) -> StageRunner:
    return StageRunner(root, jobs, progress=False)


def test_a_finished_stage_is_not_run_again(tmp_path):
    stage = shell(tmp_path / "s", f"echo x >> {tmp_path}/count")
    for _ in range(3):
        runner(tmp_path).run([[stage]])
    assert (tmp_path / "count").read_text() == "x\n"
    assert stage.is_done
    done = json.loads((tmp_path / "s" / "done.json").read_text())
    assert done["key"] == stage.key
    assert done["machine"] == machine()


def test_other_inputs_move_the_old_folder_aside(tmp_path):
    for text in ("a", "b", "c"):
        runner(tmp_path).run([[writer(tmp_path / "s", text)]])
    found = {path.name: (path / "run" / "out").read_text() for path in tmp_path.glob("s*")}
    assert found == {"s": "c", "s.old-1": "a", "s.old-2": "b"}


def test_a_folder_that_is_not_ours_is_moved_aside_too(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years of work")
    runner(tmp_path).run([[writer(tmp_path / "s")]])
    assert (tmp_path / "s.old-1" / "thesis.tex").read_text() == "years of work"


def test_the_key_is_that_of_the_inputs_alone(tmp_path):
    here, there = writer(tmp_path / "a", "x", n=1), writer(tmp_path / "b", "x", n=1)
    assert here.key == there.key
    assert here.key != writer(tmp_path / "a", "x", n=2).key


def test_a_killed_stage_without_checkpoint_starts_again(tmp_path):
    stage = writer(tmp_path / "s", "right")
    runner(tmp_path).run([[stage]])
    (tmp_path / "s" / "done.json").unlink()
    (tmp_path / "s" / "run" / "out").write_text("half")
    (tmp_path / "s" / "run" / "leftover").write_text("")
    runner(tmp_path).run([[stage]])
    assert [path.name for path in (tmp_path / "s" / "run").iterdir()] == ["out"]
    assert (tmp_path / "s" / "run" / "out").read_text() == "right"


def test_a_killed_stage_goes_on_from_its_checkpoint(tmp_path):
    checkpoint = tmp_path / "s" / "run" / "last"
    start = f"mkdir {tmp_path}/s/run; echo start >> {tmp_path}/log; touch {checkpoint}; kill -9 $$"
    stage = shell(
        tmp_path / "s",
        start,
        resume=["sh", "-c", f"echo resume >> {tmp_path}/log; touch {tmp_path}/s/run/out"],
        checkpoint=checkpoint,
        product="run/out",
    )
    with pytest.raises(StageError, match="killed by SIGKILL"):
        runner(tmp_path).run([[stage]])
    assert not stage.is_done
    runner(tmp_path).run([[stage]])
    assert (tmp_path / "log").read_text() == "start\nresume\n"
    assert stage.is_done


def test_a_failure_shows_the_end_of_the_log_and_where_it_is(tmp_path):
    stage = shell(tmp_path / "arm" / "train", "for i in $(seq 100); do echo line $i; done; echo the cause >&2; exit 3")
    with pytest.raises(StageError) as caught:
        runner(tmp_path).run([[stage]])
    message = str(caught.value)
    assert f"stage {os.path.join('arm', 'train')} failed with exit code 3" in message
    assert "the cause" in message
    assert "line 100" in message
    assert "line 50\n" not in message
    assert str(stage.log) in message


def test_a_command_that_leaves_nothing_has_failed(tmp_path):
    with pytest.raises(StageError, match="ended without leaving run/model"):
        runner(tmp_path).run([[shell(tmp_path / "s", "true", product="run/model")]])
    assert not (tmp_path / "s" / "done.json").exists()


def test_after_a_failure_nothing_new_starts_and_what_runs_may_finish(tmp_path):
    failing = [shell(tmp_path / "bad", "sleep 0.3; exit 1"), shell(tmp_path / "after-bad", "true")]
    running = [shell(tmp_path / "slow", "sleep 1"), shell(tmp_path / "after-slow", "true")]
    waiting = [shell(tmp_path / "queued", "true")]
    with pytest.raises(StageError, match="stage bad"):
        runner(tmp_path, jobs=2).run([failing, running, waiting])
    assert running[0].is_done
    assert not any(stage.folder.exists() for stage in [failing[1], running[1], waiting[0]])


def test_chains_keep_their_order_and_run_side_by_side(tmp_path):
    # Each side waits for the other's file: they end only if both run at once.
    def side(mine: str, other: str) -> list[Stage]:
        wait = f"touch {tmp_path}/{mine}; for i in $(seq 100); do [ -e {tmp_path}/{other} ] && exit 0; sleep 0.1; done"
        return [
            shell(tmp_path / f"{mine}-1", f"{wait}; exit 1"),
            shell(tmp_path / f"{mine}-2", f"[ -e {tmp_path}/{other} ]"),
        ]

    runner(tmp_path, jobs=2).run([side("a", "b"), side("b", "a")])


def test_a_stage_that_an_orphan_still_works_on_is_waited_for(tmp_path):
    stage = writer(tmp_path / "s")
    with open(tmp_path / ".s.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=runner(tmp_path).run, args=([[stage]],))
        thread.start()
        time.sleep(0.8)
        assert not stage.folder.exists()
    thread.join(timeout=20)
    assert stage.is_done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_ends_the_child_and_leaves_the_stage_to_be_done(tmp_path, number):
    program = textwrap.dedent(
        f"""
        import signal
        import sys
        from pathlib import Path
        from lerobot_ambient.integration.commands.stages import Stage, StageRunner
        root = Path({str(tmp_path)!r})
        # Tests that a shell started in the background inherit an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        script = f"echo $$ > {{root}}/pid.part; mv {{root}}/pid.part {{root}}/pid; exec sleep 60"
        try:
            StageRunner(root, 1, progress=False).run([[Stage(root / "s", {{}}, ["sh", "-c", script])]])
        except KeyboardInterrupt:
            sys.exit(130)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    parent.send_signal(number)
    assert parent.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not (tmp_path / "s" / "done.json").exists()


def test_children_get_one_thread_and_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    stage = shell(tmp_path / "s", f"echo $OMP_NUM_THREADS $HF_HUB_OFFLINE > {tmp_path}/env")
    runner(tmp_path).run([[stage]])
    assert (tmp_path / "env").read_text() == "1 1\n"


def test_stock_commands_are_those_of_this_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert stock_command("lerobot-train", "lerobot.scripts.lerobot_train") == [
        str(tmp_path / "python"),
        "-m",
        "lerobot.scripts.lerobot_train",
    ]
    (tmp_path / "lerobot-train").touch()
    assert stock_command("lerobot-train", "lerobot.scripts.lerobot_train") == [str(tmp_path / "lerobot-train")]


def test_no_jobs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        StageRunner(tmp_path, 0)
