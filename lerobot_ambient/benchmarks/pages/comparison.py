# SPDX-License-Identifier: Apache-2.0
"""What a page says of how a study was done, and how its arms compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lerobot_ambient.benchmarks.engine.condition import Condition
from lerobot_ambient.benchmarks.engine.crossed import Estimate, Trainings, difference
from lerobot_ambient.benchmarks.engine.outcome import FinalRun, Outcome
from lerobot_ambient.figures.markdown import markdown_table

_DECIDED = (
    "Decided by the 95 % interval of the paired difference or ratio: *shown* when all of it keeps the promise, "
    "*refuted* when none of it does. "
)
_OVER_LAYOUTS = (
    "Intervals hold the spread between layouts alone: of one training nothing is known of how another would do."
)
_PAIRED = "Paired by training and layout: what makes both arms fail, or succeed, cancels."
SWEPT = (
    "One training a value, on a seed, a draw of the target and layouts of their own; their intervals speak of the "
    "layouts alone."
)


def pooled(runs: Sequence[FinalRun]) -> dict[str, list[FinalRun]]:
    """The final runs by condition, in the order given."""
    conditions: dict[str, list[FinalRun]] = {}
    for run in runs:
        conditions.setdefault(run.condition.name, []).append(run)
    return conditions


def trainings_of(outcome: Outcome) -> dict[str, Trainings]:
    """The final trainings of each condition."""
    return {name: Trainings({run.seed: run.rollouts for run in runs}) for name, runs in pooled(outcome.runs).items()}


def decided(outcome: Outcome) -> str:
    """How claims are decided, and what their intervals hold."""
    if len(outcome.options.sizes.seeds) == 1:
        return _DECIDED + _OVER_LAYOUTS
    own = "a seed" if outcome.options.data_root is not None else "a seed and a draw of the target's demonstrations"
    return (
        f"{_DECIDED}Intervals hold the spread between trainings, each with {own} of its own, and between layouts, "
        "which are the same for all. What was settled before, on one draw, is taken as given: the source, what was "
        "swept."
    )


def design(outcome: Outcome) -> str:
    """How the arms were trained and compared, in sentences."""
    sizes, drawn = outcome.options.sizes, outcome.options.data_root is None
    count = len(sizes.seeds)
    trainings = (
        "One training an arm"
        if count == 1
        else f"{count} trainings an arm, each with a seed and a draw of the target's demonstrations of its own"
        if drawn
        else f"{count} trainings an arm, each with a seed of its own, on one draw of the target's demonstrations"
    )
    tried = Counter(point.sweep.name for point in outcome.sweeps)
    swept = "".join(
        f" {count} values of {name} were tried with one training each, on a seed, a draw and layouts of their own."
        for name, count in tried.items()
    )
    return (
        f"{trainings}; {sizes.steps} steps of batch {sizes.batch_size}. Every policy is rolled out on the same "
        f"{sizes.trials} layouts.{swept}"
    )


def differences(outcome: Outcome) -> list[str]:
    """Every arm against the target alone and against co-training with the same source, paired."""
    trainings, measure = trainings_of(outcome), outcome.study.headline
    conditions = {run.condition.name: run.condition for run in outcome.runs}
    rows = []
    for name, ours in trainings.items():
        others = [_beside(kind, conditions[name], conditions, outcome) for kind in ("target_only", "cotrain")]
        found = [None if other in (None, name) else difference(measure, ours, trainings[other]) for other in others]
        if any(found):
            rows.append([name, *("–" if one is None else _points(one) for one in found)])
    if not rows:
        return []
    against = ("the target alone", "co-training with its source")
    head = ["arm", *(f"{measure.label} against {other}, points (95 %)" for other in against)]
    return ["", "## Differences", "", *markdown_table(head, rows), "", _PAIRED]


def _beside(kind: str, condition: Condition, conditions: Mapping[str, Condition], outcome: Outcome) -> str | None:
    """The arm of a kind that a condition is compared with: on its own datasets, or on others with as large a target."""
    if condition.name.partition(":")[0] == "target_only":
        return None
    own = f"{kind}:{condition.data}"
    if own in conditions:
        return own
    words = outcome.study.data(outcome.options.sizes)

    def target(data: str) -> list[str]:
        return [word for word in words[data] if word.startswith("--target-episodes=")]

    return kind if kind in conditions and target(conditions[kind].data) == target(condition.data) else None


def _points(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
