# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def target_root(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Path]) -> Path:
    """me/target: 3 episodes of 20, 9 and 15 frames."""
    return write_dataset(tmp_path_factory.mktemp("data") / "target", "me/target", [20, 9, 15], seed=1)


@pytest.fixture(scope="session")
def source_root(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Path]) -> Path:
    """me/sim: 4 episodes of 30, 12, 25 and 18 frames, another task."""
    root = tmp_path_factory.mktemp("data") / "source"
    return write_dataset(root, "me/sim", [30, 12, 25, 18], seed=2, task="wander")
