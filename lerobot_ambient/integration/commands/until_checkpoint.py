# SPDX-License-Identifier: Apache-2.0
"""Runs a training command until a checkpoint is written, then ends it.

    python until_checkpoint.py RUN/checkpoints STEP -- lerobot-train ...

The training is started for all of its steps and goes on later with `--resume=true`. Training to a smaller `--steps`
first would be another training: the learning rate's schedule runs over `--steps`, so each segment would anneal to zero.
Standard library only and started as a file, because importing the package takes longer than this runs.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_POLL = 0.1
_PATIENCE = 60.0


def _last_step(checkpoints: Path) -> int:
    """Step of the last complete checkpoint, 0 without one; LeRobot links it once it is complete."""
    try:
        return int(os.readlink(checkpoints / "last"))
    except FileNotFoundError:
        return 0


def main(checkpoints: Path, step: int, command: list[str]) -> int:
    """Returns 0 once the checkpoint is there; else the command's exit code as a shell gives it, or 1 if that is 0."""
    if _last_step(checkpoints) >= step:
        return 0
    # Not closing descriptors: the child has to hold its parent's lock on the stage as long as it lives.
    child = subprocess.Popen(command, close_fds=False)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    while child.poll() is None and _last_step(checkpoints) < step:
        time.sleep(_POLL)
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if _last_step(checkpoints) >= step:
        return 0
    code = child.returncode
    return 128 - code if code < 0 else code or 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]))
