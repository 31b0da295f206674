# SPDX-License-Identifier: Apache-2.0
"""A page that finds the window of a source: two datasets in; spectra, window, held-out map and configuration out.

    GRADIO_ANALYTICS_ENABLED=False python spaces/windows/app.py

It calls the public functions of lerobot_ambient and nothing else of it. Everything is read and trained here, on the
CPU; videos are left where they are. What a user can fix is said in the library's own words.
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

# Before Gradio is imported: it would otherwise tell its makers that it was started.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import draccus
import gradio as gr
import yaml

import lerobot_ambient as la

ON_THE_HUB = "SPACE_ID" in os.environ
"""A Space of the Hub serves anybody: it reads datasets of the Hub only, not the folders of its own machine."""
POLICY: dict[str, Any] = {
    "denoiser": "mlp",
    "mlp_width": 128,
    "mlp_depth": 2,
    "prediction_type": "sample",
    "optimizer_lr": 3e-3,
    "n_action_steps": 8,
    "device": "cpu",
}
"""A small one, as docs/how-to/small-machines.md says; the file asks for it too."""
SHARE = 0.5
FOLDS = 3
NAME = re.compile(r"[\w.-]+/[\w.-]+")
TAKEN = ("repo_id", "root", "windows", "sigma_min", "sigma_max", "episodes", "stream")
"""Options of a source that the page has fields for, or finds."""
HEAD = """# Where may your second dataset teach?

*Ambient co-training* trains a policy on a small dataset that you trust, the **target**, and on a larger one that you do
not, the **source**, which teaches only at the noise levels where its faults cannot be seen: its **window**. This page
finds the window and writes the configuration file for `lerobot-train`.
"""
CSS = """
.found h3 {font-size: 1.15em; margin: 1.4em 0 0.5em}
.found pre {white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85em; line-height: 1.45; margin: 0.5em 0;
  padding: 0.7em 0.9em; border-radius: 4px; background: var(--background-fill-secondary)}
.found .refused {border-left: 4px solid #D55E00}
.found .scroll {overflow-x: auto}
.found img {width: 100%; max-width: 52em; min-width: 34em; margin: 0}
.found .small {max-width: 36em; min-width: 20em}
"""
"""A figure's letters stay readable on a phone, where it is moved sideways."""


def source_of(text: str, episodes: str, options: dict[str, Any], what: str) -> la.Source:
    """A dataset from what was typed.

    Raises:
        ValueError: no name, or a folder or an option that is none.
    """
    name = text.strip()
    if not name:
        raise ValueError(f"Name the {what}: a dataset on the Hub, me/recordings, or a folder of this machine.")
    place: dict[str, Any] = {"repo_id": name, "stream": True}
    if not NAME.fullmatch(name) or (not ON_THE_HUB and Path(name).is_dir()):
        if ON_THE_HUB:
            raise ValueError(f"'{name}' is no name of a dataset on the Hub, such as me/recordings.")
        folder = Path(name).expanduser()
        if not (folder / "meta" / "info.json").is_file():
            raise ValueError(
                f"'{name}' is neither a name on the Hub, such as me/recordings, nor the folder of a LeRobotDataset: "
                f"there is no {folder / 'meta' / 'info.json'}."
            )
        place = {"repo_id": f"local/{folder.resolve().name}", "root": str(folder)}
    if episodes.strip():
        place["episodes"] = numbers(episodes)
    try:
        found: la.Source = draccus.decode(la.Source, {**options, **place})
    except draccus.utils.DraccusException as error:
        raise ValueError(f"the options of the source: {error.__cause__ or error}") from error
    return found


def numbers(text: str) -> list[int]:
    """Episodes as they are typed, "0-9, 12".

    Raises:
        ValueError: anything else.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f"episodes are numbers and ranges of them, such as 0-9, 12; got '{text.strip()}'.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def options_of(text: str) -> dict[str, Any]:
    """The options of a source, as a configuration file has them.

    Raises:
        ValueError: no YAML, no mapping, or an option that the page has a field for.
    """
    try:
        read = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the options of the source are no YAML: {error}") from error
    if not isinstance(read, dict):
        raise ValueError(f"the options of the source are a mapping, such as rename: {{actions: action}}; got {read!r}.")
    known = [one.name for one in dataclasses.fields(la.Source) if one.name not in TAKEN]
    for name in read:
        if name in TAKEN:
            raise ValueError(f"{name} does not go among the options: the page has a field for it, or finds it.")
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise ValueError(f"{name} is no option of a source; {hint}")
    return read


def opened(target: str, source: str, target_episodes: str, source_episodes: str, options: str, horizon: int) -> Any:
    """The mixture, without a window.

    Raises:
        ValueError, OSError: what keeps the two from being one.
    """
    # What stands in a closed part of the page and was not touched comes as None.
    trusted = source_of(target or "", target_episodes or "", {}, "target")
    other = source_of(source or "", source_episodes or "", options_of(options or ""), "source")
    return la.Mixture.open(trusted, [other], mixing=la.Ambient(alpha=SHARE), horizon=int(horizon), **POLICY)


def held_out_of(mix: Any, steps: int, work: Path) -> Any:
    """The held-out map with the effort of this page; of two target episodes each judges the other's."""
    episodes = mix.without_windows().sources[0].episodes
    folds = min(FOLDS, max(2, len(episodes)))
    return la.annotate(mix, method="heldout", shares=(SHARE,), folds=folds, steps=int(steps), work_dir=work)


def compare(
    target: str,
    source: str,
    target_episodes: str = "",
    source_episodes: str = "",
    options: str = "",
    horizon: int = 16,
    held_out: bool = True,
    steps: int = 300,
    progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
) -> Iterator[list[Any]]:
    """Everything the page shows, part by part as it is found: a page, the file's text, and the file."""
    page = Page()
    with tempfile.TemporaryDirectory(prefix="windows-") as scratch:
        # Gradio copies the file that is handed out; nothing else of a run stays.
        folder = Path(scratch)
        try:
            progress(0.0, desc="opening both datasets")
            yield page.now("Opening both datasets ...")
            mix = opened(target, source, target_episodes, source_episodes, options, horizon)
            (name,) = [found.name for found in mix.without_windows().sources[1:]]
            page.add("Both datasets", repr(mix), *mix.notes)
            page.add("Under noise", figure=mix.plot_noised())
            progress(0.1, desc="comparing spectra")
            yield page.now("Comparing spectra ...")
            found, said = la.annotate(mix, method="spectral", progress=False), "spectra"
            page.add("Their spectra", repr(found), figure=found.plot(), small=True)
            if held_out:
                progress(0.2, desc="training denoisers")
                yield page.now("Training denoisers with and without the source; this takes a minute or a few ...")
                # It sees more than spectra do, and its no counts.
                found, said = held_out_of(mix, steps, folder / "work"), "the held-out map"
                page.add("Where the source helps (green) and hurts (red)", repr(found), figure=found.plot())
            if found.window is None:
                windowed, verdict = mix, f"No window of {name} is recommended, by {said}: the file below has none."
            else:
                windowed = mix.with_windows(found)
                verdict = f"The window of {name} is σ in {found.window}, by {said}."
                # Its representation ends with what to know before training on it.
                page.add("With this window", repr(windowed), *windowed.notes, figure=windowed.plan.plot())
            file = windowed.write_config(folder / "mine.yaml")
            yield page.now(verdict, file)
        except (ValueError, OSError, ImportError) as error:
            yield page.refused(error)


class Page:
    """What was found by now."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, title: str, *texts: str, figure: Any = None, small: bool = False) -> None:
        """A section: a figure of matplotlib, and text of the library."""
        part = f"<h3>{escape(title)}</h3>"
        if figure is not None:
            pixels = io.BytesIO()
            figure.savefig(pixels, format="png", dpi=150)
            source = f"data:image/png;base64,{base64.b64encode(pixels.getvalue()).decode()}"
            size = ' class="small"' if small else ""
            part += f'<div class="scroll"><img{size} alt="{escape(title)}" src="{source}"></div>'
        if texts:
            part += f"<pre>{escape(chr(10).join(texts))}</pre>"
        self._parts.append(part)

    def now(self, said: str, file: Path | None = None) -> list[Any]:
        """What is being done, or what was found at last; then the sections, the file's text and the file."""
        body = f'<div class="found"><h3>{escape(said)}</h3>{"".join(self._parts)}</div>'
        if file is None:
            return [body, gr.Code(visible=False), gr.DownloadButton(visible=False)]
        text = file.read_text(encoding="utf-8")
        return [body, gr.Code(value=text, visible=True), gr.DownloadButton(value=str(file), visible=True)]

    def refused(self, error: Exception) -> list[Any]:
        """A message with what was added on its way, no traceback, above what was found before it."""
        text = "\n  ".join([str(error), *getattr(error, "__notes__", [])])
        self._parts.insert(0, f'<pre class="refused">{escape(text)}</pre>')
        return self.now("This does not work yet.")


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="Windows for ambient co-training") as page:
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column(min_width=280):
                where = "me/recordings on the Hub" if ON_THE_HUB else "me/recordings on the Hub, or a folder"
                target = gr.Textbox(label="Target: few episodes that you trust", placeholder=where)
                source = gr.Textbox(label="Source: more episodes, with faults", placeholder=where)
            with gr.Column(min_width=280):
                held_out = gr.Checkbox(
                    value=True,
                    label="Held-out map",
                    info="Trains small denoisers with and without the source, a minute or a few. Spectra take seconds.",
                )
                steps = gr.Slider(100, 2000, value=300, step=100, label="Steps of each training; more sees more")
        with gr.Accordion("More options", open=False):
            with gr.Row():
                target_episodes = gr.Textbox(label="Episodes of the target", placeholder="all; or 0-9, 12")
                source_episodes = gr.Textbox(label="Episodes of the source", placeholder="all; or 0-99")
                horizon = gr.Slider(8, 64, value=16, step=8, label="Frames of a chunk (horizon)")
            options = gr.Code(
                language="yaml",
                lines=4,
                label="Options of the source that align it, as `lerobot-ambient init` or a message below writes them",
            )
        run = gr.Button("Find the window", variant="primary")
        result = gr.HTML()
        text = gr.Code(language="yaml", label="mine.yaml", visible=False, interactive=False)
        file = gr.DownloadButton("Download mine.yaml", visible=False)
        gr.Markdown(
            "Train with it: `lerobot-train --config_path=mine.yaml --output_dir=outputs/train/mine`. Few episodes and "
            "short trainings show little; what is not shown is not claimed."
        )
        run.click(
            compare,
            [target, source, target_episodes, source_episodes, options, horizon, held_out, steps],
            [result, text, file],
            api_name="compare",
            # Trainings share the processor, and the library looks at the process's own command line.
            concurrency_limit=1,
        )
    return page


if __name__ == "__main__":
    # LeRobot and torch load now, not while the first visitor waits.
    assert callable(la.Mixture.open) and callable(la.annotate)
    build().queue().launch(css=CSS, footer_links=["api"], allowed_paths=[])
