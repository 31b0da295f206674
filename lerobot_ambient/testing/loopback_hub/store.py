# SPDX-License-Identifier: Apache-2.0
"""What a loopback Hub keeps, in memory: repositories of commits, and large files by their hash.

A commit is a whole listing {path: bytes}; a branch or tag is the name of a commit. Commits are atomic: a request that
fails leaves the branch where it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

_LFS_SUFFIXES = (".safetensors", ".parquet", ".png", ".mp4", ".arrow", ".npy", ".bin")
"""Files the real Hub stores apart from git, as its default .gitattributes says."""

_LICENSES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "odbl", "openrail"),
    *("unknown", "other"),
}
"""The licences known here; the real Hub knows a few more."""

_REPO_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


@dataclass
class Repo:
    """One repository.

    Attributes:
        commits: name to listing, in the order they were made.
        branches, tags: name to commit; a new repository has an empty commit on `main`.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    tags: dict[str, str] = field(default_factory=dict)
    _oids: dict[tuple[str, int], tuple[bytes, str]] = field(default_factory=dict, repr=False)

    def resolve(self, revision: str) -> str | None:
        """The commit a branch, tag or commit name stands for; None when there is none."""
        if revision in self.commits:
            return revision
        return self.branches.get(revision) or self.tags.get(revision)

    def oid(self, path: str, data: bytes) -> str:
        """The hash by which a file is known; taken once, for a range of a large file is asked for many times."""
        # Beside the hash the bytes themselves, so that no others take their place in memory.
        key = (path, id(data))
        if key not in self._oids:
            self._oids[key] = data, lfs_oid(data) if is_large(path) else git_oid(data)
        return self._oids[key][1]

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        """Put a listing on a branch and return the commit's name."""
        content = json.dumps([[path, git_oid(data)] for path, data in sorted(files.items())])
        name = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[name] = files
        self.branches[branch] = name
        return name


def git_oid(data: bytes) -> str:
    """The name git gives to a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_oid(data: bytes) -> str:
    """The name Git LFS gives to a file."""
    return hashlib.sha256(data).hexdigest()


def is_large(path: str) -> bool:
    """Whether a file goes to large-file storage."""
    return path.endswith(_LFS_SUFFIXES)


def tree_entries(files: Mapping[str, bytes], below: str = "", *, recursive: bool = True) -> list[dict[str, Any]]:
    """A listing as the tree endpoint gives it: files and folders below a path."""
    prefix = f"{below.strip('/')}/" if below.strip("/") else ""
    found: dict[str, dict[str, Any]] = {}
    for path, data in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            folder = prefix + "/".join(parts[:depth])
            found[folder] = {"type": "directory", "path": folder, "oid": git_oid(folder.encode()), "size": 0}
        if recursive or len(parts) == 1:
            found[path] = _file_entry(path, data)
    return list(found.values())


def _file_entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
    if is_large(path):
        entry["lfs"] = {"oid": lfs_oid(data), "size": len(data), "pointerSize": 134}
    return entry


def apply_operations(
    files: Mapping[str, bytes], operations: Sequence[Mapping[str, Any]], large: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The listing after a commit's operations.

    Args:
        files: the listing before.
        operations: the lines of a commit request: {key, value}.
        large: uploaded large files by their hash.

    Raises:
        ValueError: an operation that is unknown, or names a large file that was never uploaded.
    """
    result = dict(files)
    for operation in operations:
        key, value = operation["key"], operation["value"]
        if key == "header":
            continue
        if key == "file":
            result[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in large:
                raise ValueError(f"the large file {value['path']} ({value['oid']}) was never uploaded")
            result[value["path"]] = large[value["oid"]]
        elif key == "deletedFile":
            result.pop(value["path"], None)
        elif key == "deletedFolder":
            result = {path: data for path, data in result.items() if not path.startswith(value["path"].rstrip("/"))}
        else:
            raise ValueError(f"unknown operation {key}")
    return result


def metadata_errors(content: str) -> list[str]:
    """What the Hub has against a card's YAML header; empty when it is valid."""
    found = re.match(r"\s*---\r?\n(.*?)\r?\n---(\r?\n|$)", content, re.DOTALL)
    if found is None:
        return []
    try:
        data = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"the header is not YAML: {error}"]
    if data is None:
        return []
    if not isinstance(data, dict):
        return ["the header must be a mapping"]
    errors = []
    license_name = data.get("license")
    if license_name is not None and license_name not in _LICENSES:
        errors.append(f'"license" must be one of {sorted(_LICENSES)}, not {license_name!r}')
    for key in ("tags", "datasets", "base_model", "language"):
        values = data.get(key, [])
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            errors.append(f'"{key}" must be a string or a list of strings')
        elif key in ("datasets", "base_model"):
            errors += [f'"{key}" has {v!r}, which is no repository' for v in values if not _REPO_ID.fullmatch(v)]
    for entry in data.get("model-index") or []:
        for result in entry.get("results") or [{}]:
            lacks = [key for key in ("task", "dataset", "metrics") if key not in result]
            if "name" not in entry or lacks:
                errors.append(f'"model-index" lacks {", ".join(lacks) or "name"}')
    return errors
