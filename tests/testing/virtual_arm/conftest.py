# SPDX-License-Identifier: Apache-2.0
"""A running virtual arm: a forked process, because LeRobot's drivers wait in a loop that starves another thread."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lerobot_ambient.testing.virtual_arm.process import ArmProcess, ArmSpec


@pytest.fixture
def start_arm(tmp_path) -> Iterator[Callable[..., ArmProcess]]:
    """The function that starts an arm: start_arm(name, motion=None, faults=(), latency=0.0)."""
    with ExitStack() as running:

        def start(name: str, **options) -> ArmProcess:
            spec = ArmSpec(tmp_path / "arm" / name, tmp_path / "calibration", **{"latency": 0.0, **options})
            return running.enter_context(ArmProcess(spec))

        yield start


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is marked `alone`; the hook sees the tests of all folders.

    Elsewhere a test may be marked where `scripts/side_by_side.py` looks for it: see tests/test_side_by_side.py.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.alone)
