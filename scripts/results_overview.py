# SPDX-License-Identifier: Apache-2.0
"""Writes the table of all studies in docs/results/README.md: `python scripts/results_overview.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.crossed import Trainings, difference
from lerobot_ambient.benchmarks.engine.kept_rollouts import kept_file, read_kept
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.results import SUCCESS, Rollouts

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
PAGE = RESULTS / "README.md"
BEGIN, END = "<!-- overview -->", "<!-- /overview -->"
LEAST = 5
"""Trainings an arm; pages of fewer are of an older design."""
HEAD = (
    "task",
    "source",
    "target alone",
    "co-training, best alpha",
    "window swept",
    "window not swept, by",
    "success with it",
    "less target alone",
    "less co-training",
)
UNSWEPT = {
    "heldout": "held-out map",
    "classifier-dataset": "classifier",
    "classifier-episode": "classifier, each episode",
    "published": "the paper",
}
"""Ways to a window without a sweep, by the ends of their arms' names."""


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = markdown_table(list(HEAD), [row for file in sorted(RESULTS.glob("*.json")) for row in rows_of(file)])
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def rows_of(file: Path) -> Iterator[list[str]]:
    """A row for each source of a study and each way to its window; none of other files and of an older design."""
    found = json.loads(file.read_text(encoding="utf-8"))
    arms = found.get("arms") if isinstance(found, dict) else None
    if not isinstance(arms, list) or len(arms[0].get("train_seeds", ())) < LEAST:
        return
    by_name = {arm["arm"]: arm for arm in arms}
    decided = {point["arm"] for point in found["sweeps"]}
    trainings = trainings_of(file.parent, found["experiment"], by_name)
    for pair in dict.fromkeys(arm["data"] for arm in arms):
        suffix = "" if pair == "default" else f":{pair}"
        cotrain = f"cotrain{suffix}"
        alone = _alone(found, by_name, pair)
        swept = next((name for family in ("ambient", "omni") if (name := f"{family}{suffix}") in decided), "")
        unswept = [
            (name, words)
            for way, words in UNSWEPT.items()
            for family in ("ambient", "omni")
            if (name := f"{family}{suffix}-{way}" if suffix else f"{family}:{way}") in by_name
        ]
        for name, words in unswept or [("", "–")]:
            ours = name or swept
            if cotrain in decided and ours in by_name:
                yield [
                    f"[{found['experiment']}]({found['experiment']}.md)",
                    "" if pair == "default" else pair,
                    *(_rate(by_name.get(arm)) for arm in (alone, cotrain, swept)),
                    words,
                    _rate(by_name.get(name)),
                    *(points(trainings, ours, other) for other in (alone, cotrain)),
                ]


def _alone(found: dict[str, Any], arms: dict[str, dict[str, Any]], pair: str) -> str:
    """The arm of the target alone on a pair's target, or on another's of as many episodes; "" where there is none."""
    own = f"target_only:{pair}"
    if own in arms or "target_only" not in arms:
        return own if own in arms else ""
    made = (found["data"][one]["target"]["episodes"] for one in (pair, arms["target_only"]["data"]))
    return "target_only" if len(set(made)) == 1 else ""


def trainings_of(folder: Path, experiment: str, arms: dict[str, dict[str, Any]]) -> dict[str, Trainings]:
    """The rollouts of each arm, by training."""
    kept = {one.name: one.rollouts for one in read_kept(kept_file(folder, experiment), experiment)}

    def of(name: str, seed: int) -> Rollouts:
        return kept[f"final/{name.replace(':', '-')}-seed{seed}"]

    return {name: Trainings({seed: of(name, seed) for seed in arm["train_seeds"]}) for name, arm in arms.items()}


def _rate(arm: dict[str, Any] | None) -> str:
    if arm is None:
        return "–"
    low, high = (f"{100 * edge:.0f}" for edge in arm["success95"])
    return f"{100 * arm['successes'] / arm['trials']:.1f} % [{low}, {high}]"


def points(trainings: dict[str, Trainings], ours: str, other: str) -> str:
    """Success of one arm less another in points, paired, with its 95 % interval; a dash without either."""
    found = difference(SUCCESS, trainings[ours], trainings[other]) if ours and other in trainings else None
    if found is None:
        return "–"
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
