# SPDX-License-Identifier: Apache-2.0
"""Where `annotate` writes windows files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.data.alignment.aligned_source import AlignedSource


def output_paths(args: argparse.Namespace, sources: Sequence[AlignedSource]) -> list[Path | None]:
    """Where each source's windows file goes; None where none is written.

    Raises:
        ValueError: a file is there and may not be replaced, or is that of two sources.
    """
    if not args.write and args.windows_dir is None:
        return [None] * len(sources)
    paths = windows_paths(args, sources)
    for path in paths:
        if path.exists() and not args.overwrite:
            raise ValueError(f"{path} exists; add --overwrite to replace it.")
    return list(paths)


def windows_paths(args: argparse.Namespace, sources: Sequence[AlignedSource]) -> list[Path]:
    """The windows file of each source.

    Raises:
        ValueError: two sources share one.
    """
    paths = [_windows_path(args, source) for source in sources]
    for index, path in enumerate(paths):
        first = paths.index(path)
        if first < index:
            raise ValueError(
                f"'{sources[first].name}' and '{sources[index].name}' would share the windows file {path}; "
                + ("give a --windows-dir." if args.windows_dir is None else "annotate them one at a time.")
            )
    return paths


def _windows_path(args: argparse.Namespace, source: AlignedSource) -> Path:
    """The windows file of a source: in the folder that was named, else in the dataset's own."""
    from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH

    if args.windows_dir is not None:
        return Path(args.windows_dir) / f"{source.name.replace('/', '__')}.parquet"
    return Path(source.meta.root) / WINDOWS_PATH
