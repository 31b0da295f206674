# SPDX-License-Identifier: Apache-2.0
"""The tiny models, each written once in a test process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from lerobot.configs import PreTrainedConfig

from .tiny import tiny_multi_task_dit, tiny_smolvla
from .tiny_molmo import tiny_molmoact2
from .tiny_others import tiny_fastwam, tiny_xvla
from .tiny_pi import shrink, tiny_pi0, tiny_pi05, write_cache
from .tiny_qwen import tiny_eo1, tiny_groot, tiny_vla_jepa, tiny_wall_x

OF_A_FOLDER = {
    "multi_task_dit": tiny_multi_task_dit,
    "smolvla": tiny_smolvla,
    "eo1": tiny_eo1,
    "groot": tiny_groot,
    "vla_jepa": tiny_vla_jepa,
    "wall_x": tiny_wall_x,
    "molmoact2": tiny_molmoact2,
    "xvla": tiny_xvla,
    "fastwam": tiny_fastwam,
}
OF_PI = {"pi0": tiny_pi0, "pi05": tiny_pi05}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the backbones of the tiny models lie, and what the Hub's cache would hold for them."""
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture
def tiny_config(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PreTrainedConfig]:
    """`tiny_config(family, **options)`: the configuration of a tiny stock model of LeRobot's type `family`.

    Within the test, the policy's class and its processors are built from it as users build theirs.
    """

    def make(family: str, **options: Any) -> PreTrainedConfig:
        pytest.importorskip("transformers", reason=f"the extra of {family} is not installed")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tiny_folder / "hub"))
        if family == "vla_jepa":
            _skip_if_masks_break_it()
        if family in OF_A_FOLDER:
            return OF_A_FOLDER[family](tiny_folder, **options)
        write_cache(tiny_folder / "hub")
        shrink(monkeypatch.setattr)
        return OF_PI[family](**options)

    return make


def _skip_if_masks_break_it() -> None:
    """LeRobot's head of August 2026 prepares `observation.images.*_is_pad` as a picture, so its own trainings fail."""
    from lerobot.policies.vla_jepa import processor_vla_jepa as processor

    if not hasattr(processor, "ImagePrepProcessorStep"):
        return
    try:
        processor.ImagePrepProcessorStep().observation({"observation.images.cam_is_pad": torch.zeros(1, 1)})
    except IndexError:
        pytest.skip("LeRobot's own processor of vla_jepa takes the mask of padded frames for a picture")
