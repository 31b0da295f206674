# SPDX-License-Identifier: Apache-2.0
"""What `make test` promises, side by side: side_by_side.py JOBS MAKE

    lint    formatting, lint, types
    arm     the tests that talk to a virtual arm. LeRobot gives a motor 50 ms to answer, so one at a time, and all else
            here is `nice` and steps back for them; they sleep more than they work
    rest    all other tests, in JOBS processes

The output of `rest` comes as it runs, that of the others when they have ended. Then the line coverage of both kinds of
tests against the floor in pyproject.toml, and once more pytest's own summaries. The exit code is 0 where everything
passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

PYTEST = (sys.executable, "-m", "pytest", "--cov", "--cov-report=", "--cov-fail-under=0")
ALONE = ("tests/testing/virtual_arm", "tests/benchmarks/walkthroughs/test_arm_story.py")
"""Where tests are marked `alone`: collecting all others for their sake would take a quarter of a minute."""
NICE = ("nice", "-n", "10")
POLL = 0.2


def main(jobs: str, make: str) -> int:
    """Run everything; returns the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="checks-") as folder:
        data = {name: Path(folder, f"coverage.{name}") for name in ("arm", "rest")}
        commands = {
            "lint": [*NICE, make, "--no-print-directory", "lint"],
            "arm": [*PYTEST, *ALONE, "-m", "alone", "--durations=5"],
            "rest": [*NICE, *PYTEST, "-n", jobs, "--dist", "worksteal", "-m", "not alone", "--durations=20"],
        }
        running: dict[str, subprocess.Popen[bytes]] = {}
        outputs: dict[str, IO[bytes]] = {}
        try:
            for name, command in commands.items():
                environment = {**os.environ, "COVERAGE_CORE": "sysmon"}
                # The tests start hundreds of processes, and each would compile the hundreds of modules of this project.
                environment.pop("PYTHONDONTWRITEBYTECODE", None)
                if name in data:
                    environment["COVERAGE_FILE"] = str(data[name])
                if name != "rest":
                    outputs[name] = open(Path(folder, f"{name}.log"), "w+b")  # noqa: SIM115
                running[name] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=outputs.get(name, subprocess.PIPE),
                    stderr=subprocess.STDOUT,
                    env=environment,
                )
            shown: list[bytes] = []
            forwarding = threading.Thread(target=_forward, args=(running["rest"].stdout, shown), daemon=True)
            forwarding.start()
            codes = _wait(running, outputs, began)
            forwarding.join(timeout=10)  # A program that a test left behind may hold the pipe open.
            summaries = [_summary(Path(folder, "arm.log").read_bytes()), _summary(b"".join(shown))]
        except BaseException:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
            raise
        codes["coverage"] = _coverage([str(file) for file in data.values() if file.exists()])
    print(f"\n{time.monotonic() - began:.0f} s:", ", ".join(f"{name} {_said(code)}" for name, code in codes.items()))
    print("", *summaries, sep="\n", flush=True)
    return int(any(codes.values()))


def _wait(running: dict[str, subprocess.Popen[bytes]], outputs: dict[str, IO[bytes]], began: float) -> dict[str, int]:
    codes: dict[str, int] = {}
    while len(codes) < len(running):
        time.sleep(POLL)
        for name in running.keys() - codes.keys():
            code = running[name].poll()
            if code is None:
                continue
            codes[name] = code
            print(f"\n==> {name} {_said(code)} after {time.monotonic() - began:.0f} s", flush=True)
            if name in outputs:
                outputs[name].seek(0)
                sys.stdout.buffer.write(outputs[name].read())
                sys.stdout.flush()
                outputs[name].close()
    return {name: codes[name] for name in running}


def _forward(stream: IO[bytes] | None, shown: list[bytes]) -> None:
    """Show what a process says as it says it, and keep it."""
    assert stream is not None
    while chunk := os.read(stream.fileno(), 1 << 16):
        shown.append(chunk)
        sys.stdout.buffer.write(chunk)
        sys.stdout.flush()


def _summary(output: bytes) -> str:
    """Pytest's last line, and before it the tests that failed."""
    lines = output.decode(errors="replace").splitlines()
    return "\n".join([*(line for line in lines if line.startswith(("FAILED ", "ERROR "))), *lines[-1:]])


def _coverage(files: list[str]) -> int:
    tool = (sys.executable, "-m", "coverage")
    combined = subprocess.run([*tool, "combine", "--quiet", *files], check=False).returncode
    return combined or subprocess.run([*tool, "report", "--format=total"], check=False).returncode


def _said(code: int) -> str:
    return "passed" if code == 0 else f"FAILED with {code}"


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
