# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: each notebook of docs/ is a page, in the look of the others, and a file to download.

Committed notebooks hold no outputs. `scripts/docs_site/run_notebooks.py` writes executed copies; the variable
EXECUTED_NOTEBOOKS, by `extra.executed_notebooks` of mkdocs.yml, names their folder. Without it pages show the code
alone. mkdocs-jupyter is not used: it brings JupyterLab's style sheet of 0.6 MB into every such page, loads MathJax from
another host, and executes in docs/.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

WITHOUT = "*Shown without outputs; they appear where it is run.*"
PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}

log = logging.getLogger("mkdocs.hooks.notebooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    executed = config.extra.get("executed_notebooks")
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        source = Path(executed) / posixpath.basename(file.src_uri) if executed else Path(str(file.abs_src_path))
        if not source.is_file():
            log.warning("%s: no executed copy in %s", file.src_uri, executed)
            continue
        page = Notebook(json.loads(source.read_text(encoding="utf-8")), posixpath.basename(file.src_uri))
        at = file.src_uri.removesuffix(".ipynb")
        files.append(File.generated(config, f"{at}.md", content=page.markdown))
        for name, picture in page.pictures.items():
            files.append(File.generated(config, f"{posixpath.dirname(at)}/{name}", content=picture))
    return files


class Notebook:
    """A notebook as Markdown.

    Attributes:
        markdown: its cells and their outputs.
        pictures: files that it shows, by name.
    """

    def __init__(self, content: dict, name: str) -> None:
        self.pictures: dict[str, bytes] = {}
        self._stem = name.removesuffix(".ipynb")
        cells = content["cells"]
        shown = any(cell.get("outputs") for cell in cells)
        title, *rest = "".join(cells[0]["source"]).split("\n", 1)
        note = f'<p class="notebook"><a href="{name}" download>Download this notebook</a></p>'
        parts = [title, note, *([] if shown else [WITHOUT]), *rest]
        for cell in cells[1:]:
            parts += [*self._cell(cell)]
        self.markdown = "\n\n".join(parts) + "\n"

    def _cell(self, cell: dict) -> Iterator[str]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            yield source
            return
        yield fenced(source, "python")
        for output in cell.get("outputs", []):
            yield from self._output(output)

    def _output(self, output: dict) -> Iterator[str]:
        if output["output_type"] == "stream":
            if output["name"] == "stderr":  # Progress, and warnings about the machine that built the site.
                return
            yield f'<div class="output" markdown>\n\n{fenced("".join(output["text"]), "text")}\n\n</div>'
            return
        if output["output_type"] == "error":
            raise ValueError(f"{self._stem}: a cell failed: {output['ename']}: {output['evalue']}")
        data = output["data"]
        kind = next((kind for kind in PICTURES if kind in data), None)
        if kind is not None:
            name = f"{self._stem}-{len(self.pictures) + 1}.{PICTURES[kind]}"
            text = "".join(data[kind])
            self.pictures[name] = text.encode() if kind == "image/svg+xml" else base64.b64decode(text)
            yield f"![Output of the cell above]({name})"
        elif "text/html" in data:
            # One block of raw HTML ends at a blank line.
            lines = [line for line in "".join(data["text/html"]).splitlines() if line.strip()]
            yield "\n".join(['<div class="output">', *lines, "</div>"])
        else:
            text = html.unescape("".join(data["text/plain"]))
            yield f'<div class="output" markdown>\n\n{fenced(text, "text")}\n\n</div>'


def fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"
