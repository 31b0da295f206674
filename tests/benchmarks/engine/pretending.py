# SPDX-License-Identifier: Apache-2.0
"""A study without its commands."""

import json
from collections.abc import Sequence
from pathlib import Path

from lerobot_ambient.integration.commands.stages import Stage


class Pretending:
    """A runner whose commands are done at once; notes their folders."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran = root, []

    def run(self, chains: Sequence[Sequence[Stage]], title: str) -> None:
        for stage in (stage for chain in chains for stage in chain):
            if stage.is_done:
                continue
            self.ran.append(stage.folder.relative_to(self.root).as_posix())
            if stage.folder.exists():
                stage.folder.rename(stage.folder.with_name(f"{stage.folder.name}.old-1"))
            stage.run_folder.mkdir(parents=True)
            (stage.folder / "done.json").write_text(json.dumps({"key": stage.key, "seconds": 5.0, "machine": "here"}))
            # Rollouts that depend on what was trained, so that a wrong one would be seen.
            value = int(stage.key, 16) / 16.0**16
            metrics = {"successes": [True, False], "sum_rewards": [-value, -1.0]}
            (stage.run_folder / "eval_info.json").write_text(json.dumps({"per_task": [{"metrics": metrics}]}))
