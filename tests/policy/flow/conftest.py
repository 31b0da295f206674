# SPDX-License-Identifier: Apache-2.0
"""The tiny models, each written once in a test process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lerobot.configs import PreTrainedConfig

from . import tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the backbones of the tiny models lie."""
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture
def tiny_config(tiny_folder: Path) -> Callable[..., PreTrainedConfig]:
    """`tiny_config(family, **options)`: the configuration of a tiny stock model of LeRobot's type `family`."""

    def make(family: str, **options: Any) -> PreTrainedConfig:
        pytest.importorskip("transformers", reason=f"the extra of {family} is not installed")
        return tiny.FAMILIES[family](tiny_folder, **options)

    return make
