# SPDX-License-Identifier: Apache-2.0
"""What a verb says while it works: on stderr, because stdout is for its result; and what it refuses before it does."""

from __future__ import annotations

import sys
from pathlib import Path

_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp")


def say(doing: str) -> None:
    """Tell what begins now and may take longer than a moment."""
    print(f"lerobot-ambient: {doing} ...", file=sys.stderr, flush=True)


def require_picture(option: str, path: Path) -> None:
    """Refuse a file that no picture can be written to, before the work that would be lost.

    Raises:
        ValueError: a name that is no picture's, or a folder.
    """
    if path.is_dir():
        raise ValueError(f"{option}={path} is a folder; name a file in it, e.g. {option}={path / 'plan.png'}.")
    if path.suffix.lower() not in _PICTURES:
        raise ValueError(f"{option}={path} is no picture's name; write e.g. {option}={path.with_suffix('.png')}.")
