# SPDX-License-Identifier: Apache-2.0
"""A virtual arm in a process of its own: for tests, and for scripts that need an arm beside a command.

LeRobot's drivers wait for an answer in a loop that starves a thread of the same process, so the arm needs another.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .arm import VirtualArm
from .faults import parse_fault
from .joints import provide_calibration
from .motion import MOTIONS, Jitter, Motion
from .port import VirtualPort

_START_SECONDS = 30.0
"""Longest wait for an arm to open its port, or to answer a command."""


@dataclass(frozen=True)
class ArmSpec:
    """What `lerobot-ambient virtual-arm` takes: see its help. The arm's id is the port's name.

    `start` is the angle of each joint, degrees and percent open, at which it starts; at rest when None.
    """

    port: Path
    calibration_dir: Path
    motion: str | None = None
    seed: int = 0
    jitter: float = 0.0
    latency: float = 0.02
    faults: Sequence[str] = ()
    start: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.motion is not None and self.motion not in MOTIONS:
            raise ValueError(f"motion '{self.motion}' is not one of {', '.join(MOTIONS)}")
        if self.jitter and self.motion is None:
            raise ValueError(f"jitter {self.jitter} needs a hand; give a motion, one of {', '.join(MOTIONS)}")


class ArmProcess:
    """A forked process that serves `spec` until `close`; use it as a context.

    What the arm says goes, a line each, to the file PORT.log.

    Raises:
        RuntimeError: the arm did not open its port.
    """

    def __init__(self, spec: ArmSpec) -> None:
        self.spec = spec
        self.log = spec.port.with_name(f"{spec.port.name}.log")
        spec.port.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", encoding="utf-8")
        self._process = multiprocessing.get_context("fork").Process(target=_serve, args=(spec, self.log))
        self._process.start()
        deadline = time.monotonic() + _START_SECONDS
        while not spec.port.is_symlink():
            if not self._process.is_alive() or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"the virtual arm {spec.port} did not start: {self.log.read_text('utf-8')}")
            time.sleep(0.01)

    def __enter__(self) -> ArmProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def tell(self, command: str) -> None:
        """Send `command` and wait for longer than the loop takes to obey."""
        self._write(command)
        time.sleep(0.15)

    def state(self) -> dict[str, Any]:
        """Ask for the state: angles, torque, active faults, how regularly goals came.

        Raises:
            RuntimeError: no answer.
        """
        before = len(self._states())
        self._write("state")
        deadline = time.monotonic() + _START_SECONDS
        while len(states := self._states()) == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the virtual arm {self.spec.port} does not answer; its log is {self.log}")
            time.sleep(0.02)
        answer: dict[str, Any] = json.loads(states[-1])
        return answer

    def close(self) -> None:
        """End the process, and wait for it."""
        if self._process.is_alive():
            self._write("quit")
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _states(self) -> list[str]:
        lines = self.log.read_text(encoding="utf-8").split("\n")
        return [line for line in lines[:-1] if line.startswith("{")]

    def _write(self, command: str) -> None:
        pipe = os.open(f"{self.spec.port}.control", os.O_WRONLY | os.O_NONBLOCK)
        os.write(pipe, f"{command}\n".encode())
        os.close(pipe)


def _serve(spec: ArmSpec, log: Path) -> None:
    # The parent's objects are shared until somebody writes to them. A collection would, to all of them, and the arm
    # would miss LeRobot's 50 ms meanwhile.
    gc.freeze()
    now = time.monotonic()
    motion: Motion | None = MOTIONS[spec.motion](spec.seed) if spec.motion else None
    if motion is not None and spec.jitter:
        motion = Jitter(motion, spec.jitter, spec.seed)
    arm = VirtualArm(
        provide_calibration(spec.calibration_dir, spec.port.name),
        motion=motion,
        faults=[parse_fault(text, now) for text in spec.faults],
        latency=spec.latency,
        start=spec.start,
        now=now,
    )
    with open(log, "a", encoding="utf-8", buffering=1) as out, VirtualPort(arm, spec.port, say=_into(out)) as port:
        port.serve()
    # Not the exit of the parent's interpreter, whose buffers and handlers this process has inherited.
    os._exit(0)


def _into(out: Any) -> Any:
    return lambda line: out.write(f"{line}\n")
