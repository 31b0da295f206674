# SPDX-License-Identifier: Apache-2.0
"""Does `check` foretell rollouts? Trained policies of a study, judged on fresh episodes, against what they did.

    lerobot-ambient reproduce flow --output-dir outputs/flow
    lerobot-ambient make-data maze --root outputs/fresh --seed 77 --target-episodes 60 --source-episodes 1
    lerobot-ambient reproduce judgement --study-dir outputs/flow --root outputs/fresh/target

Every run of the study that was trained and rolled out is a point: of its final arms, of each seed, and of its sweeps.
Points of one arm differ by their training seed alone, so they are not independent; the interval is a bootstrap over
arms, which are resampled with all of their seeds.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.benchmarks.pages.study_report import Report
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.commands.results import acceleration_measure, read_eval_info
from lerobot_ambient.integration.judging.episodes import JudgedWords
from lerobot_ambient.integration.judging.judge import judge
from lerobot_ambient.integration.judging.judgement import to_dict
from lerobot_ambient.integration.judging.measure import Effort

_LEAST = 5
_RESAMPLES = 2000
PAIRS = (
    ("score", "success", "the score that `check` ranks by, and success"),
    ("action_error", "success", "the error of predicted actions, and success"),
    ("seam_ratio", "success", "the jumps between chunks, and success"),
    ("jerk_ratio", "acceleration", "the jerk of predicted chunks, and the acceleration of rollouts"),
    ("score", "acceleration", "the score, and the acceleration of rollouts"),
)
"""What is judged, what rollouts did, and both in words."""


@dataclass(frozen=True)
class JudgementOptions:
    """What is judged.

    Args:
        study_dir: output of a study, with its runs in `final` and `sweep`.
        root: a dataset of the same task whose episodes no run has seen.
        repo_id: its name.
        output_dir: keeps what was judged.
        samples: chunks a checkpoint.
        seed: of the noise.
    """

    study_dir: Path
    root: Path
    repo_id: str
    output_dir: Path
    samples: int = 256
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One trained policy.

    Args:
        run: its name in the study.
        arm: without its seed.
        judged: by `check`: score, action_error, jerk_ratio, seam_ratio; lower is better.
        success: share of its rollouts.
        acceleration: mean squared, of its successful rollouts; None where the task has none.
        trials: rollouts.
    """

    run: str
    arm: str
    judged: dict[str, float]
    success: float
    acceleration: float | None
    trials: int


def run_judgement(options: JudgementOptions, *, progress: bool = True) -> list[Point]:
    """Judge every run that was rolled out; what was judged before is read.

    Raises:
        ValueError: too few runs, or a checkpoint that cannot be judged on these episodes.
    """
    runs = [
        folder
        for kind in ("final", "sweep")
        for folder in sorted((options.study_dir / kind).glob("*"))
        if _eval_info(folder).is_file() and _checkpoint(folder).is_dir()
    ]
    if len(runs) < _LEAST:
        raise ValueError(
            f"{options.study_dir} holds {len(runs)} runs that were trained and rolled out, at least {_LEAST} are "
            "needed; run a study first, e.g. lerobot-ambient reproduce maze."
        )
    return [_point(folder, options) for folder in tqdm(runs, unit="run", desc="judging", disable=not progress)]


def _checkpoint(folder: Path) -> Path:
    return folder / "train" / "run" / "checkpoints" / "last" / "pretrained_model"


def _eval_info(folder: Path) -> Path:
    return folder / "eval" / "run" / "eval_info.json"


def _point(folder: Path, options: JudgementOptions) -> Point:
    kept = options.output_dir / "judged" / f"{folder.parent.name}-{folder.name}-{options.samples}-{options.seed}.json"
    if not kept.is_file():
        words = JudgedWords.read([f"--dataset.repo_id={options.repo_id}", f"--dataset.root={options.root}"])
        judgement = judge([str(_checkpoint(folder))], words, Effort(options.samples, 32, options.seed))
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(kept, (json.dumps(to_dict(judgement)) + "\n").encode())
    found = json.loads(kept.read_text(encoding="utf-8"))
    (one,) = found["checkpoints"].values()
    rollouts = read_eval_info(_eval_info(folder))
    chunks = {name: one["chunks"][name]["value"] for name in ("action_error", "jerk_ratio", "seam_ratio")}
    return Point(
        run=f"{folder.parent.name}/{folder.name}",
        arm=f"{folder.parent.name}/{re.sub(r'-seed[0-9]+$', '', folder.name)}",
        judged={"score": found["ranking"][0]["score"]["value"], **chunks},
        success=rollouts.rate,
        acceleration=acceleration_measure("").of(rollouts),
        trials=rollouts.trials,
    )


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, with a bootstrap interval over arms."""

    value: float
    low: float
    high: float
    points: int

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def correlation(points: list[Point], judged: str, did: str, *, seed: int = 0) -> Correlation:
    """Of what was judged, and what rollouts did, over points that have both."""
    from scipy import stats

    some = [(one.arm, one.judged[judged], getattr(one, did)) for one in points if getattr(one, did) is not None]
    arms = sorted({arm for arm, _, _ in some})
    by_arm = [np.array([pair for arm, *pair in some if arm == name]) for name in arms]
    rng = np.random.default_rng(seed)

    def rank(parts: list[Floats]) -> float:
        both = np.concatenate(parts)
        if len(np.unique(both[:, 0])) < 2 or len(np.unique(both[:, 1])) < 2:
            return float("nan")
        return float(stats.spearmanr(both[:, 0], both[:, 1]).statistic)

    draws = [rank([by_arm[i] for i in rng.integers(0, len(arms), len(arms))]) for _ in range(_RESAMPLES)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Correlation(rank(by_arm), float(low), float(high), len(some))


def write_report(points: list[Point], options: JudgementOptions, results_dir: Path | None = None) -> Report:
    """Write judgement.md and judgement.json to `results_dir` (default: `results` in the output folder)."""
    folder = results_dir if results_dir is not None else options.output_dir / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results = _results(points, options)
    page = _page(points, results)
    replace_file(folder / "judgement.json", (json.dumps(results, ensure_ascii=False) + "\n").encode())
    replace_file(folder / "judgement.md", page.encode())
    return Report(results, page, folder / "judgement.md", folder / "judgement.json", [])


def _results(points: list[Point], options: JudgementOptions) -> dict[str, Any]:
    pairs = [(judged, did, words, correlation(points, judged, did)) for judged, did, words in PAIRS]
    return {
        "experiment": "judgement",
        "command": (
            f"lerobot-ambient reproduce judgement --study-dir outputs/{options.study_dir.name} "
            f"--root outputs/fresh/{options.root.name} --samples {options.samples} --seed {options.seed}"
        ),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "study": options.study_dir.name,
        "samples": options.samples,
        "seed": options.seed,
        "number_of_arms": len({one.arm for one in points}),
        "correlations": [
            {"judged": judged, "rollouts": did, "in_words": words, **vars(found)} for judged, did, words, found in pairs
        ],
        "points": [
            {
                "run": one.run,
                "arm": one.arm,
                **{name: round(value, 5) for name, value in one.judged.items()},
                "success": one.success,
                "acceleration": one.acceleration,
                "trials": one.trials,
            }
            for one in points
        ],
    }


def _page(points: list[Point], results: dict[str, Any]) -> str:
    lines = [
        "# Does `check` foretell rollouts?",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}.",
        "",
        f"Study {results['study']}: {len(points)} policies of {results['number_of_arms']} arms, each judged on "
        f"episodes it has not seen, {results['samples']} chunks, no rollout used.",
        "Spearman's rank correlation of what was judged (lower is better) with what the rollouts did. Intervals are a",
        "bootstrap over arms, each with all of its seeds. A judge that foretells success has -1, one that foretells",
        "rough rollouts +1.",
        "",
        *markdown_table(
            ["judged, and what rollouts did", "rank correlation (95 %)", "policies"],
            [
                [
                    entry["in_words"],
                    str(Correlation(*(entry[k] for k in ("value", "low", "high", "points")))),
                    str(entry["points"]),
                ]
                for entry in results["correlations"]
            ],
        ),
        "",
        "## Every policy, best score first",
        "",
        *markdown_table(
            ["run", "score", "action error", "jerk ratio", "seam ratio", "success", "acceleration", "rollouts"],
            [
                [
                    one.run,
                    f"{one.judged['score']:.4f}",
                    f"{one.judged['action_error']:.3f}",
                    f"{one.judged['jerk_ratio']:.2f}",
                    f"{one.judged['seam_ratio']:.2f}",
                    f"{100 * one.success:.1f} %",
                    "–" if one.acceleration is None else f"{one.acceleration:.1f}",
                    str(one.trials),
                ]
                for one in sorted(points, key=lambda one: one.judged["score"])
            ],
        ),
        "",
    ]
    return "\n".join(lines)
