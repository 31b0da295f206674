# SPDX-License-Identifier: Apache-2.0
"""What must be true before a version is published: `python scripts/release_check.py [--tag v1.2.3]`.

Compares pyproject.toml, CHANGELOG.md, the tag and the files in dist/, prints everything that is missing and exits 1.
Where nothing is missing it prints the version's section of the changelog: the text of the release.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = ".invalid/"
"""In the repository's address until it has one; no real address can hold it (RFC 2606)."""
SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)
DATED = re.compile(r"(\S+) - \d{4}-\d{2}-\d{2}")


def problems(root: Path, tag: str | None) -> Iterator[str]:
    """What keeps the checkout in `root` from being released, a line each."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    version = settings["project"]["version"]
    repository = settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    try:
        if str(Version(version)) != version:
            yield f"pyproject.toml: the version {version} is written {Version(version)} in the names of files"
    except InvalidVersion:
        yield f"pyproject.toml: {version} is no version, see PEP 440"
    if PLACEHOLDER in repository:
        yield f"pyproject.toml: repository is still the placeholder {repository}"
    if tag is not None and tag != f"v{version}":
        yield f"the tag is {tag} and pyproject.toml says {version}: it should be v{version}"
    found = sections(root)
    if found.get("Unreleased", "").strip():
        yield "CHANGELOG.md: 'Unreleased' holds changes; put them under version and day, '## 1.2.3 - 2026-01-31'"
    if notes(root, version) is None:
        yield f"CHANGELOG.md: there is no section '## {version} - YEAR-MONTH-DAY'"
    elif next((title for title in found if title != "Unreleased"), "").split(" - ")[0] != version:
        yield f"CHANGELOG.md: the section of {version} is not the newest"
    name = settings["project"]["name"]
    wanted = {f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.tar.gz"}
    built = {path.name for path in (root / "dist").glob("*")}
    if built != wanted:
        yield f"dist/ holds {sorted(built) or 'nothing'}, not {sorted(wanted)}: run make dist"


def sections(root: Path) -> dict[str, str]:
    """Heading to text of the changelog's sections, in their order."""
    parts = SECTION.split((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def notes(root: Path, version: str) -> str | None:
    """The changelog's text for a version; None where it has no dated section."""
    dated = {found[1]: text for title, text in sections(root).items() if (found := DATED.fullmatch(title))}
    return dated.get(version)


def main() -> int:
    """Print what is missing, or the text of the release; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tag", default=None, help="the tag that is released, as v1.2.3")
    tag = parser.parse_args().tag
    if missing := list(problems(ROOT, tag)):
        print("\n".join(missing), file=sys.stderr)
        return 1
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    print((notes(ROOT, version) or "").strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
