# SPDX-License-Identifier: Apache-2.0
"""A file written at once: a reader sees the old one or the whole new one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` under a hidden name and move it to `path`, whoever else writes it.

    A failure leaves what was there, and no hidden file.
    """
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        hidden.write_bytes(content)
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
