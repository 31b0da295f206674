# SPDX-License-Identifier: Apache-2.0
"""What a verb says while it works: on stderr, because stdout is for its result."""

from __future__ import annotations

import sys


def say(doing: str) -> None:
    """Tell what begins now and may take longer than a moment."""
    print(f"lerobot-ambient: {doing} ...", file=sys.stderr, flush=True)
