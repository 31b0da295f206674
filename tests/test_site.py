# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site: built strictly, every link and anchor of its pages, and nothing from another host.

Notebooks are not executed here, but for a tiny one; `make docs` executes them.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from markdown_it import MarkdownIt
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts" / "docs_site"
LOADED = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("link", "href"), ("image", "href")}
STRUCTURE = ("h1", "h2", "h3", "li", "tr", "td", "pre", "blockquote", "em", "strong", "img")


def build(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    quiet = {name: value for name, value in os.environ.items() if name != "EXECUTED_NOTEBOOKS"}
    quiet["NO_MKDOCS_2_WARNING"] = "1"
    return subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO")] == []
    return target


class Read(HTMLParser):
    """What a page points to, and what can be pointed to in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if not value:
                continue
            if name in ("id", "name"):
                self.anchors.add(value)
            elif (tag, name) in LOADED:
                self.loaded.add(value)
            elif name in ("href", "src"):
                self.links.add(value)
            elif name in ("srcset", "poster"):
                self.loaded.update(part.split()[0] for part in value.split(","))


def faults(site: Path) -> list[str]:
    """Dead links and anchors, and whatever is loaded from another host, by page."""
    pages = {page: Read(page) for page in sorted(site.rglob("*.html"))}
    found = []
    for page, read in pages.items():
        name = page.relative_to(site)
        found += [f"{name} loads {link}" for link in read.loaded if urlsplit(link).netloc]
        for link in read.links | read.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            start = site if parts.path.startswith("/") else page.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} has no such anchor")
    for sheet in sorted(site.rglob("*.css")):
        urls = re.findall(r"""(?:url\(|@import )["']?([^"')]+)""", sheet.read_text(encoding="utf-8"))
        found += [f"{sheet.relative_to(site)} loads {url}" for url in urls if urlsplit(url).netloc]
    return found


def test_no_link_is_dead_and_nothing_comes_from_another_host(site):
    assert len(list(site.rglob("*.html"))) >= 50
    assert faults(site) == []


def test_the_theme_has_nothing_to_ask_another_host_for(site):
    """Its script fetches Mermaid where a page has a diagram, and a count of stars where it has a repository's link."""
    asking = re.compile(r'class="[^"]*mermaid|data-md-component="source"')
    assert [page.name for page in site.rglob("*.html") if asking.search(page.read_text(encoding="utf-8"))] == []


def test_such_faults_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#there">x</a><a href="b.html">x</a><a href="a.html#here">x</a>'
        '<script src="https://cdn.example/x.js"></script><img src="//cdn.example/x.png">'
        '<link rel="stylesheet" href="a.css"><a href="https://elsewhere.example">x</a>'
    )
    (tmp_path / "a.css").write_text('@import "https://fonts.example/f.css"; p { background: url(own.png) }')
    assert sorted(faults(tmp_path)) == [
        "a.css loads https://fonts.example/f.css",
        "a.html loads //cdn.example/x.png",
        "a.html loads https://cdn.example/x.js",
        "a.html: #there has no such anchor",
        "a.html: b.html is not there",
    ]


def test_a_dead_link_ends_the_build(tmp_path):
    """A page, an anchor, a file outside docs/ and a page that the navigation lacks, each by name."""
    copied = tmp_path / "copy"
    for name in ("docs", "scripts/docs_site"):
        shutil.copytree(ROOT / name, copied / name)
    for name in (
        "mkdocs.yml",
        "pyproject.toml",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE",
    ):
        shutil.copy(ROOT / name, copied / name)
    with (copied / "docs/method.md").open("a") as page:
        page.write("[one](architecture.md#no-such-heading), [two](nowhere.md), [three](../lerobot_ambient/nowhere.py)")
    (copied / "docs/how-to/forgotten.md").write_text("# Forgotten\n")
    done = build(copied, tmp_path / "site")
    assert done.returncode == 1
    for named in ("#no-such-heading", "'nowhere.md'", "../lerobot_ambient/nowhere.py", "- how-to/forgotten.md"):
        assert named in done.stderr, named


def test_the_search_knows_every_page(site):
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    known = {entry["location"].partition("#")[0] or "index.html" for entry in index}
    assert known == {page for page in pages if not page.endswith("report.html")}
    assert "reference/python.html#renoise" in {entry["location"] for entry in index if "renoise" in entry["title"]}


# Formulas


def test_every_formula_is_set(site):
    inline = runpy.run_path(str(SCRIPTS / "formulas.py"))["INLINE"]
    blocks = re.compile(r"^```math\n.*?^```$", re.M | re.S)
    for source in sorted((ROOT / "docs").rglob("*.md")):
        text = source.read_text(encoding="utf-8")
        prose = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)
        lines = [one for one in inline.finditer(prose) if one["code"] is None]
        page = site / source.relative_to(ROOT / "docs").with_suffix(".html")
        shown = page.with_stem("index" if page.stem == "README" else page.stem).read_text(encoding="utf-8")
        assert shown.count('<div class="math">') == len(blocks.findall(text)), source.name
        assert shown.count("<math>") == len(lines), source.name
        assert not re.search(r"\\(?:sigma|sqrt|frac|tau|mathrm)\b", shown), source.name
    method = (site / "method.html").read_text(encoding="utf-8")
    assert method.count("<math>") > 200
    assert method.count('<div class="math">') > 20
    assert (site / "assets/math.woff").stat().st_size > 20_000


def test_what_is_no_formula_stays_and_a_wrong_one_ends_the_build():
    from markdown import markdown

    made = runpy.run_path(str(SCRIPTS / "formulas.py"))
    extension = made["Formulas"]()
    for kept in ("it costs $5 and $6", "`$HOME` and `$PATH`", "a \\$ sign$"):
        assert "<math" not in markdown(kept, extensions=[extension]), kept
    for set_ in ("$x_0$", "$`a_1`$", "$r_m / r_t < 1$", "**$x$**, $y$"):
        assert markdown(set_, extensions=[extension]).count("<math>") == set_.count("$") // 2, set_
    with pytest.raises(PluginError, match=r"nosuchcommand"):
        made["mathml"](r"\nosuchcommand{x}", block=False)


# As on GitHub


def structure(html: str) -> dict[str, int]:
    counted = Counter(re.findall(r"<(\w+)[ >/]", html))
    return {tag: counted[tag] for tag in STRUCTURE}


def test_pages_are_structured_as_on_github(site):
    """Python-Markdown and GitHub's differ in lists, emphasis and tables; pages are written so that both agree."""
    hooks = runpy.run_path(str(SCRIPTS / "pages.py"))
    inline = runpy.run_path(str(SCRIPTS / "formulas.py"))["INLINE"]
    github = MarkdownIt("commonmark").enable("table")
    sources = {ROOT / file: page for page, file in hooks["ELSEWHERE"].items()}
    for source in (ROOT / "docs").rglob("*.md"):
        sources[source] = str(source.relative_to(ROOT / "docs")).replace("README.md", "index.md")
    differing = {}
    for source, page in sources.items():
        text = re.sub(r"^```math\n.*?^```$", "\nformula\n", source.read_text(encoding="utf-8"), flags=re.M | re.S)
        there = structure(github.render(inline.sub(lambda one: one[0] if one["code"] else "formula", text)))
        html = (site / page).with_suffix(".html").read_text(encoding="utf-8")
        article = re.search(r"<article[^>]*>(.*)</article>", html, re.S)
        assert article
        here = structure(re.sub(r"<math.*?</math>", "", article[1], flags=re.S))
        if there != here:
            differing[str(source.relative_to(ROOT))] = {tag: (there[tag], here[tag]) for tag in STRUCTURE}
    assert differing == {}


# Notebooks


def test_outputs_of_a_notebook_are_shown():
    made = runpy.run_path(str(SCRIPTS / "notebooks.py"))["Notebook"]
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["said <b>\n"]},
        {"output_type": "stream", "name": "stderr", "text": ["a warning\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBORw==", "text/plain": ["<Figure>"]}},
        {"output_type": "execute_result", "data": {"text/html": ["<table>\n\n</table>"], "text/plain": ["x"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": outputs},
    ]
    page = made({"cells": cells}, "tour.ipynb")
    assert page.markdown.startswith("# Title\n\n<p")
    assert "````python\nprint(1)\n````" in page.markdown
    assert "said <b>" in page.markdown
    assert "a warning" not in page.markdown
    assert '<div class="output">\n<table>\n</table>\n</div>' in page.markdown
    assert "(tour-1.png)" in page.markdown
    assert page.pictures == {"tour-1.png": b"\x89PNG"}
    assert "without outputs" not in page.markdown
    cells[1]["outputs"] = []
    assert "without outputs" in made({"cells": cells}, "tour.ipynb").markdown


def test_notebooks_are_executed_once_and_failures_are_told(tmp_path, capsys, monkeypatch):
    for name in ("MPLBACKEND", "LEROBOT_AMBIENT_DATA"):
        monkeypatch.delenv(name, raising=False)
    written = runpy.run_path(str(SCRIPTS / "run_notebooks.py"))["written"]

    def notebook(name: str, code: str) -> Path:
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
        return path

    folder = tmp_path / "executed"
    folder.mkdir()
    sums = notebook("sums", "import pathlib\npathlib.Path('made').touch()\n20 + 3")
    for _ in range(2):
        assert written(sums, folder)
    (cell,) = nbformat.read(folder / "sums.ipynb", as_version=4).cells
    assert cell.outputs[0].data["text/plain"] == "23"
    assert (folder / "sums" / "made").is_file()
    assert not written(notebook("wrong", "1 / 0"), folder)
    told = capsys.readouterr()
    first, second = told.out.splitlines()
    assert first.startswith("sums.ipynb: executed in")
    assert second == "sums.ipynb: nothing it shows has changed"
    assert "ZeroDivisionError" in told.err
    assert not (folder / "wrong.ipynb").exists()


def test_a_notebook_is_executed_again_where_any_file_of_the_package_changed(tmp_path, monkeypatch):
    made = runpy.run_path(str(SCRIPTS / "run_notebooks.py"))["fingerprint"]
    monkeypatch.setitem(made.__globals__, "ROOT", tmp_path)
    notebook = tmp_path / "a.ipynb"
    notebook.write_text("{}")
    (tmp_path / "lerobot_ambient").mkdir()
    found = {made(notebook)}
    for name in ("a.py", "catalogue.yaml", "page.html.j2"):
        (tmp_path / "lerobot_ambient" / name).write_text(name)
        found.add(made(notebook))
    assert len(found) == 4
    (tmp_path / "lerobot_ambient" / "a.pyc").write_text("compiled")
    assert made(notebook) in found


@pytest.mark.parametrize(
    ("pyproject", "address"),
    [
        ({"project": {}}, None),
        ({"project": {"urls": {"Repository": "https://forge.example/me/it"}}}, "https://forge.example/me/it"),
        ({"project": {"urls": {"Repository": "https://repository.invalid/it"}}}, None),
    ],
)
def test_the_address_of_the_repository_is_not_shown_while_it_is_a_placeholder(pyproject, address):
    assert runpy.run_path(str(SCRIPTS / "pages.py"))["repository"](pyproject) == address
