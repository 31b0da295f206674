# SPDX-License-Identifier: Apache-2.0
"""Which version of LeRobot's format a dataset has, and what to do with one that LeRobot does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerobot.datasets.dataset_metadata import CODEBASE_VERSION
from packaging.version import InvalidVersion, Version, parse

_READ = parse(CODEBASE_VERSION)
_ENTRY = "meta/info.json: codebase_version"


def owner_of(repo_id: str, root: Path | str) -> str:
    """How messages about a file of a dataset begin."""
    return f"dataset '{repo_id}' in {root}"


def check_format(version: Any, repo_id: str, root: Path) -> str | None:
    """Refuse a format that LeRobot does not read.

    Args:
        version: codebase_version of meta/info.json.
        repo_id: of the dataset.
        root: its folder, by whose files a version that makes no sense is guessed.

    Returns:
        A warning about a format that is a little newer than LeRobot's; None for its own.

    Raises:
        ValueError: naming the format and how to convert the dataset.
    """
    owner = owner_of(repo_id, root)
    try:
        found = parse(version) if isinstance(version, str) else None
    except InvalidVersion:
        found = None
    if found is None or (found.major, found.minor) == (0, 0) or _never_written(found):
        there = "is missing" if version is None else f"is {version!r}, which LeRobot never wrote"
        raise ValueError(f"{owner}: {_ENTRY} {there}. {_by_its_files(root)}")
    if found.major < _READ.major:
        raise ValueError(f"{owner} {outdated(version, repo_id, root)}")
    if found.major > _READ.major:
        raise ValueError(
            f"{owner} has the format {version}, newer than {CODEBASE_VERSION}, which this LeRobot reads. Install a "
            "newer LeRobot and a lerobot_policy_ambient_diffusion that supports it, or write the dataset again with "
            "this LeRobot."
        )
    if found.minor > _READ.minor:
        return f"its format {version} is newer than {CODEBASE_VERSION}, which this LeRobot reads; check what it gives."
    return None


def outdated(version: str | None, repo_id: str, root: Path | str | None) -> str:
    """What a dataset of an old format has, and the commands that convert it; the last line is the last command.

    Args:
        version: as found; None for an unknown one older than v2.1.
        repo_id, root: of the dataset.
    """
    where = f"--root={root} " if root else ""
    command = f"    python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id={repo_id} {where}--push-to-hub=false"
    head = f"has the format {version or 'of before v2.1'}, LeRobot reads {CODEBASE_VERSION}."
    old = None if version is None else parse(version)
    if old is not None and (old.major, old.minor) == (2, 1):
        return f"{head} Convert it with\n{command}"
    steps = "lerobot.datasets.v21.convert_dataset_v20_to_v21"
    if old is None or old.major < 2:
        steps = f"lerobot.datasets.v2.convert_dataset_v1_to_v2, then {steps}"
    return (
        f"{head} Only v2.1 is converted directly: bring it to v2.1 first, in an environment of its own with "
        f"`pip install lerobot==0.3.3`, by its module {steps}; then here\n{command}"
    )


def _never_written(version: Version) -> bool:
    """LeRobot's formats ended with v1.6 and v2.1 before the next began."""
    return (version.major == 1 and version.minor > 6) or (version.major == 2 and version.minor > 1)


def _by_its_files(root: Path) -> str:
    if any((root / "meta" / "episodes").glob("*/*.parquet")):
        return 'Its folder is laid out as v3.0 (meta/episodes/*/*.parquet): write "codebase_version": "v3.0".'
    if (root / "meta" / "episodes.jsonl").is_file():
        return (
            'Its folder is laid out as v2.1 (meta/episodes.jsonl): write "codebase_version": "v2.1", and the next '
            "message says how it is converted."
        )
    return 'Write the version of the LeRobot format that its writer followed, such as "codebase_version": "v3.0".'
