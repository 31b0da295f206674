# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: formulas, written as GitHub reads them, become MathML, which browsers draw without a script.

$...$ and $`...`$ stand in a line, a block fenced as `math` stands alone. A formula that is not LaTeX ends the build.
MathML needs a font that knows how mathematics is set, which not every system has: the site brings the glyphs it uses.
"""

from __future__ import annotations

import html
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fontTools import subset
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from math_core import LatexError, LatexToMathML
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

FONT = Path(str(find_spec("ziamath").origin)).with_name("fonts") / "STIXTwoMath-Regular.ttf"  # type: ignore[union-attr]
"""Of ziamath the font alone is used, so it is not imported."""
INLINE = re.compile(
    r"\$`(?P<quoted>[^`]+)`\$|(?P<code>`+)[^`].*?(?P=code)|\$(?P<plain>[^\s$`](?:[^$`]*[^\s$`])?)\$(?!\w)"
)
ITALIC = {0x210E, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)}
"""What a browser shows for a letter that stands alone; h is older than the others."""
ALWAYS = {0x221A, *ITALIC}
"""Drawn by <msqrt>, so never written."""

_converter = LatexToMathML(fancy_error=False)
_used: set[int] = set()


def on_config(config: MkDocsConfig) -> None:
    config.markdown_extensions.append(Formulas())  # type: ignore[arg-type]
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "math", "format": _block})


def on_post_build(config: MkDocsConfig) -> None:
    options = subset.Options(flavor="woff", layout_features=["*"])
    font = subset.load_font(str(FONT), options)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=_used | ALWAYS)
    chosen.subset(font)
    subset.save_font(font, str(Path(config.site_dir) / "assets" / "math.woff"), options)


def mathml(latex: str, *, block: bool) -> str:
    """LaTeX as MathML.

    Raises:
        PluginError: it is not LaTeX, or uses what has no MathML.
    """
    try:
        made = _converter.convert_with_local_state(latex.strip(), displaystyle=block)
    except LatexError as error:
        raise PluginError(f"the formula {latex.strip()!r} cannot be set: {error}") from error
    _used.update(map(ord, html.unescape(re.sub(r"<[^>]*>", "", made))))
    return made


class Formulas(Extension):
    """Formulas in a line of text."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        # Before code (190), which has the backquotes of $`...`$, and escapes (180), which LaTeX is full of.
        md.inlinePatterns.register(_Inline(INLINE.pattern, md), "formula", 195)


class _Inline(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str | None, int | None, int | None]:  # noqa: N802
        latex = m["quoted"] or m["plain"]
        if latex is None:  # Code keeps its dollars.
            return None, None, None
        return self.md.htmlStash.store(mathml(latex, block=False)), m.start(), m.end()


def _block(source: str, language: str, class_name: str, options: dict, md: Markdown, **more: Any) -> str:
    return f'<div class="{class_name}">{mathml(source, block=True)}</div>'
