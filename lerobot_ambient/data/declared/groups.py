# SPDX-License-Identifier: Apache-2.0
"""What a source counts to where there are many: logs, tables, reports and held-out maps then tell of groups."""

from __future__ import annotations

MANY = 12
"""Sources beyond which a list of all is no help."""

_UNSAID = ("", "unknown", "none")
"""What stands for no robot in meta/info.json."""


def group_name(declared: str | None, robot: str | None, repo_id: str) -> str:
    """The group as declared, else the robot in lower case, else the dataset's owner on the Hub.

    Args:
        declared: `group` of the source.
        robot: `robot_type` of its meta/info.json.
        repo_id: of the dataset.
    """
    known = (robot or "").lower()
    return declared or (repo_id.partition("/")[0] if known in _UNSAID else known)
