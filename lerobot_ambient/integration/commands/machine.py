# SPDX-License-Identifier: Apache-2.0
"""What a result was computed on, without the machine's name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Processor, cores, GPUs that CUDA may use, and operating system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return ", ".join([model, f"{os.cpu_count()} cores", *_graphics_cards(), platform.system()])


def _graphics_cards() -> list[str]:
    """By the driver's own tool: torch would be slow to import, and takes hold of the card."""
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return []
    try:
        found = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if found.returncode != 0:
        return []
    names = [line.strip() for line in found.stdout.splitlines() if line.strip()]
    return [name if names.count(name) == 1 else f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
