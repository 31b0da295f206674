# SPDX-License-Identifier: Apache-2.0
"""What the distribution says of where it lives, made from the one address in pyproject.toml when it is built.

PyPI shows the README away from the repository, where relative links lead nowhere: they become links into the repository
at the version's tag. A hook of hatchling, so that whatever builds, `pip install` from the sdist too, says the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s:#][^)\s:]*)\)")
"""A link or an image with a path; not one with a scheme, nor an anchor of the page itself."""
TAG_IMAGE = re.compile(r'(?P<name>\s(?:src|srcset)=")(?P<path>[^":\s]+)(?=")')
"""An image in HTML."""


class Addresses(MetadataHookInterface):
    """Sets `readme` and `urls`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to the table [project]."""
        repository, tag = self.config["repository"], f"v{metadata['version']}"
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, repository, tag)}
        metadata["urls"] = {
            "Repository": repository,
            "Documentation": f"{repository}/tree/{tag}/docs",
            "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
            "Issues": f"{repository}/issues",
        }


def absolute(text: str, repository: str, tag: str) -> str:
    """Returns Markdown whose relative links lead into the repository at a tag; images to the files themselves."""

    def replace(found: re.Match[str]) -> str:
        kind = "raw" if found["image"] else "blob"
        return f"{found['image']}[{found['text']}]({repository}/{kind}/{tag}/{found['path']})"

    return TAG_IMAGE.sub(rf"\g<name>{repository}/raw/{tag}/\g<path>", LINK.sub(replace, text))
