# SPDX-License-Identifier: Apache-2.0
"""Run a command while virtual arms serve their ports.

    python -m lerobot_ambient.benchmarks.walkthroughs.beside_arms FILE COMMAND

FILE is JSON: `arms`, a list of ArmSpec's fields; `attempts`, how often the command may be started; `clear`, folders
that are removed before each start; `states`, the file for how the arms ended. LeRobot gives a motor 50 ms to answer,
a camera's thread 500 ms for a frame, and on a crowded machine either may get no processor for so long. So a command
that failed because an arm or a camera was late is started again, and no other one; none is, where an arm has faults on
purpose.

When the command ends, the state of each arm is asked for and written; the exit code is the command's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lerobot_ambient.testing.virtual_arm.process import ArmProcess, ArmSpec

_MISSED = (
    *("motor check failed on port", "Could not connect on port", "There is no status packet"),
    "latest frame is too old",
)
"""What LeRobot says when a motor does not answer, in the handshake and later, and when a camera is late."""


def run_beside_arms(plan: dict[str, Any], command: Sequence[str]) -> int:
    """Start the arms of `plan`, run `command`, keep the arms' states, and return the command's exit code."""
    specs = [_spec(values) for values in plan["arms"]]
    attempts = 1 if any(spec.faults for spec in specs) else plan["attempts"]
    for attempt in range(1, attempts + 1):
        for folder in plan["clear"]:
            shutil.rmtree(folder, ignore_errors=True)
        code, output = _once(specs, command, Path(plan["states"]))
        if code == 0 or not any(words in output for words in _MISSED):
            return code
        print(f"a virtual arm or its camera was not in time: attempt {attempt} of {attempts}", flush=True)
    return code


def _once(specs: Sequence[ArmSpec], command: Sequence[str], states: Path) -> tuple[int, str]:
    lines: list[str] = []
    with ExitStack() as running:
        arms = [running.enter_context(ArmProcess(spec)) for spec in specs]
        child = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                lines = [*lines[-200:], line]
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait(20)
            raise
        states.write_text(json.dumps({arm.spec.port.name: arm.state() for arm in arms}, indent=2) + "\n", "utf-8")
    return code, "".join(lines)


def _spec(values: dict[str, Any]) -> ArmSpec:
    return ArmSpec(**{**values, "port": Path(values["port"]), "calibration_dir": Path(values["calibration_dir"])})


def main(argv: Sequence[str]) -> int:
    """Read the file, run the command."""
    file, *command = argv
    return run_beside_arms(json.loads(Path(file).read_text(encoding="utf-8")), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
