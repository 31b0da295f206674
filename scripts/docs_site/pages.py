# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: the pages that lie outside docs/, and links that hold on GitHub and in the site alike.

README.md is the site's front page. A link to any other file of the repository leads to a copy of it in the site, as
text, so that no link depends on where the repository is hosted. The address in pyproject.toml, from which
scripts/addresses.py makes the project's links, gives the site its link to the code.
"""

from __future__ import annotations

import logging
import posixpath
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
"""Pages of the site that are files of the repository outside docs/."""
IN_SITE = {file: page for page, file in ELSEWHERE.items()}
CODE = re.compile(r"^ *(?P<fence>`{3,})[^`\n]*\n.*?^ *(?P=fence) *$|(?P<ticks>`+)[^`].*?(?P=ticks)", re.M | re.S)
LINK = re.compile(
    r"""(?:(?<=\]\()|(?<=\ssrc=")|(?<=\ssrcset="))(?![a-z]+:|#)(?P<path>[^)\s#"]+)(?P<anchor>#[^)\s"]*)?(?=[)"])"""
)
"""The path of a link or an image, in Markdown or in the HTML between it."""

log = logging.getLogger("mkdocs.hooks.pages")


def on_config(config: MkDocsConfig) -> None:
    # Not as `repo_url`: the theme asks that host for the number of stars from every page.
    if address := repository(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))):
        link = {"icon": "fontawesome/brands/git-alt", "link": address, "name": "Source code"}
        config.extra["social"] = [link]


def repository(pyproject: dict) -> str | None:
    """The address of the repository; None while it is a placeholder (a host below `.invalid`)."""
    hook = pyproject.get("tool", {}).get("hatch", {}).get("metadata", {}).get("hooks", {}).get("custom", {})
    address = hook.get("repository") or pyproject["project"].get("urls", {}).get("Repository")
    return None if address is None or (urlsplit(address).hostname or "").endswith(".invalid") else address


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, file in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are written for the repository, made those of the site; code is left alone."""
    here = page.file.src_uri
    folder = posixpath.dirname(ELSEWHERE.get(here, f"docs/{here}"))

    def translated(link: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(folder, link["path"]))
        target = IN_SITE.get(file) or _in_docs(file, files) or _copied(file, config, files)
        if target is None:
            log.warning("%s: the link %s leads to no file of the repository", here, link["path"])
            return link.group()
        return posixpath.relpath(target, posixpath.dirname(here)) + (link["anchor"] or "")

    parts, end = [], 0
    for code in CODE.finditer(markdown):
        parts += [LINK.sub(translated, markdown[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*parts, LINK.sub(translated, markdown[end:])])


def _in_docs(file: str, files: Files) -> str | None:
    """A file of docs/ by its name in the site: a notebook is a page there."""
    inside = file.removeprefix("docs/")
    if inside == file:
        return None
    names = (re.sub(r"\.ipynb$", ".md", inside), inside)
    return next((name for name in names if files.get_file_from_path(name)), None)


def _copied(file: str, config: MkDocsConfig, files: Files) -> str | None:
    """Another file of the repository, put into the site as text."""
    if file.startswith("../") or not (ROOT / file).is_file():
        return None
    copy = f"files/{file}.txt"
    if not files.get_file_from_path(copy):
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / file)))
    return copy
