# SPDX-License-Identifier: Apache-2.0
"""What every test runs under, and the fixtures several folders share."""

import os
from pathlib import Path

# Before torch is imported, here and in every subprocess a test starts: torch with several threads beside
# another test process is many times slower than with one, and no test may reach the network.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"

import pytest
import torch

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real recordings (so101_teleop, bimanual_hands), which are not part of the repository.

    The environment variable LEROBOT_AMBIENT_DATA names it; otherwise it is `shared/data` beside the checkout.
    Tests that need it are skipped without it. Read only: copy what a test changes.
    """
    named = os.environ.get("LEROBOT_AMBIENT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"LEROBOT_AMBIENT_DATA={named} is not a folder; mend or unset it")
    if not folder.is_dir():
        pytest.skip(
            "THE REAL RECORDINGS ARE NOT HERE, so what is checked against them is not checked: "
            "set LEROBOT_AMBIENT_DATA to the folder that holds so101_teleop and bimanual_hands"
        )
    return folder
