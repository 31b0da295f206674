# SPDX-License-Identifier: Apache-2.0
"""`metrics.jsonl`: what a run measured, a line of JSON each time, in the folder of its checkpoints.

    {"step": 200, "mode": "train", "loss": 0.31, "share/me/sim": 1.02, "exposure/me/sim": 0.4, ...}
    {"step": 200, "mode": "eval", "eval_loss": 0.28, "eval_loss/sigma_0.10_0.20": 0.41, ...}

A line is written in one piece, so a killed run leaves whole lines but at most the last. A resumed run takes back what
is later than its checkpoint, since it will come to those steps again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lerobot_ambient.data.files.replace_file import replace_file

METRICS_FILE, FIGURE_FILE = "metrics.jsonl", "metrics.png"
FIGURE_SWITCH = "LEROBOT_AMBIENT_METRICS_FIGURE"
"""The environment variable that leaves the figure out where it is 0: drawing takes a second."""


class MetricsFile:
    """The metrics file of a run.

    Args:
        path: of the file; it need not be there.
        step: at which the run goes on; lines of later steps are removed.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        if not path.is_file():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if (told := _parsed(line)) is not None and told["step"] <= step]
        if kept != lines:
            replace_file(path, b"".join(kept))

    def append(self, step: int, mode: str, values: Mapping[str, float]) -> None:
        """Write a line.

        Args:
            step: optimiser steps done.
            mode: train or eval, LeRobot's prefix of the keys in a tracker.
            values: numbers by key; one that is not finite becomes null.
        """
        told = {key: _number(value) for key, value in values.items()}
        line = json.dumps({"step": step, "mode": mode, **told}, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, in their order; a line that was cut is left out."""
    return [told for line in path.read_bytes().splitlines(keepends=True) if (told := _parsed(line)) is not None]


def _number(value: float) -> float | None:
    """As JSON has it; an environment's returns may be NumPy's."""
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(value)


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(told, dict) and isinstance(told.get("step"), int)
    return told if whole else None
