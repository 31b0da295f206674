# SPDX-License-Identifier: Apache-2.0
"""Pushes a checkpoint to a Hub on this machine and pulls it from there, with the commands for the real one.

    python -m lerobot_ambient.benchmarks.walkthroughs.through_hub CHECKPOINT FOLDER REPO_ID

The Hub lives as long as this process; what was pulled stays in FOLDER.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lerobot_ambient.integration.commands.stages import stock_command
from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub


def through_hub(checkpoint: Path, folder: Path, repo_id: str) -> list[str]:
    """Push, pull and compare; returns the names of the files that came back.

    Args:
        checkpoint: a pretrained_model folder; gets its card.
        folder: for what is pulled.
        repo_id: name on the Hub.

    Raises:
        subprocess.CalledProcessError: a command failed; it has printed why.
        ValueError: a file is missing or differs.
    """
    with LoopbackHub(port=0) as hub:
        (token,) = hub.tokens
        # Whatever the caller says of the Hub, nothing leaves this machine.
        here = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        push = ["card", str(checkpoint), "--push", f"--repo-id={repo_id}"]
        for command in (
            [*stock_command("lerobot-ambient", "lerobot_ambient.cli"), *push],
            [*stock_command("hf", "huggingface_hub.cli.hf"), "download", repo_id, f"--local-dir={folder}"],
        ):
            subprocess.run(command, env={**os.environ, **here}, check=True)
    names = sorted(file.name for file in checkpoint.iterdir() if file.is_file())
    differ = [name for name in names if not _equal(checkpoint / name, folder / name)]
    if differ:
        raise ValueError(f"{', '.join(differ)} of {checkpoint} did not come back from the Hub as pushed, see {folder}.")
    return names


def _equal(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    sent, received, name = sys.argv[1:]
    print("pushed, pulled and equal:", ", ".join(through_hub(Path(sent), Path(received), name)))
