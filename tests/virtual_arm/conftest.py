# SPDX-License-Identifier: Apache-2.0
"""A running virtual arm: a forked process, because LeRobot's drivers wait in a loop that starves another thread."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lerobot_ambient.virtual_arm.arm import VirtualArm
from lerobot_ambient.virtual_arm.faults import parse_fault
from lerobot_ambient.virtual_arm.joints import provide_calibration
from lerobot_ambient.virtual_arm.motion import MOTIONS
from lerobot_ambient.virtual_arm.port import VirtualPort


@dataclass
class RunningArm:
    """A virtual arm in another process; `port` is what drivers open."""

    port: Path
    calibration_dir: Path
    process: multiprocessing.process.BaseProcess

    def tell(self, command: str) -> None:
        """Send `command` and wait for longer than the loop takes to obey."""
        pipe = os.open(f"{self.port}.control", os.O_WRONLY)
        os.write(pipe, f"{command}\n".encode())
        os.close(pipe)
        time.sleep(0.15)


def _serve(port: Path, calibration_dir: Path, motion: str | None, faults: tuple[str, ...], latency: float) -> None:
    now = time.monotonic()
    arm = VirtualArm(
        provide_calibration(calibration_dir, port.name),
        motion=MOTIONS[motion](0) if motion else None,
        faults=[parse_fault(text, now) for text in faults],
        latency=latency,
        now=now,
    )
    with VirtualPort(arm, port, say=lambda line: None) as served:
        served.serve()
    os._exit(0)


@pytest.fixture
def start_arm(tmp_path) -> Iterator[Callable[..., RunningArm]]:
    """The function that starts an arm: start_arm(name, motion=None, faults=(), latency=0.0)."""
    running: list[RunningArm] = []

    def start(
        name: str, *, motion: str | None = None, faults: tuple[str, ...] = (), latency: float = 0.0
    ) -> RunningArm:
        port, calibration_dir = tmp_path / "arm" / name, tmp_path / "calibration"
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(port, calibration_dir, motion, faults, latency)
        )
        process.start()
        running.append(RunningArm(port, calibration_dir, process))
        deadline = time.monotonic() + 20
        while not port.is_symlink():
            assert process.is_alive() and time.monotonic() < deadline, "the virtual arm did not start"
            time.sleep(0.01)
        return running[-1]

    yield start
    for arm in running:
        if arm.process.is_alive():
            arm.tell("quit")
        arm.process.join(5)
        if arm.process.is_alive():
            arm.process.kill()
            arm.process.join()


@pytest.fixture
def feetech(monkeypatch) -> None:
    """Skips where LeRobot's Feetech drivers cannot run, and makes them wait for 0.25 s, not 0.05 s, for an answer.

    LeRobot does not repeat its handshake, and on a machine that runs other tests 0.05 s can pass without the processor.
    """
    for module in ("scservo_sdk", "serial", "deepdiff"):
        pytest.importorskip(
            module,
            reason=f"LEROBOT'S DRIVERS ARE NOT TRIED AGAINST THE VIRTUAL ARM: no {module}; install lerobot[feetech]",
        )
    from lerobot.motors.feetech import feetech

    shipped = feetech.patch_setPacketTimeout

    def patient(handler, length):
        shipped(handler, length)
        handler.packet_timeout += 200

    monkeypatch.setattr(feetech, "patch_setPacketTimeout", patient)
