# SPDX-License-Identifier: Apache-2.0
"""Where a training configuration may be written. Asked before LeRobot is loaded, which takes seconds."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".yaml", ".yml")


def require_config_name(path: Path) -> None:
    """Raises:
    ValueError: a name that is not that of a configuration, or a folder.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a configuration is a YAML file; name it for example {path.with_suffix('.yaml')}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file in it, for example {path / 'mine.yaml'}.")


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raises:
    ValueError: a file is there and may not be replaced, or its name is not that of a configuration.
    """
    require_config_name(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; add --overwrite to replace it, or name another file.")
