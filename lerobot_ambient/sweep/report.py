# SPDX-License-Identifier: Apache-2.0
"""What a sweep found: the ranking, the Pareto front, how far chance alone would get, and the best configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.sweep.config import BaseConfig, render, tuned_config
from lerobot_ambient.sweep.evaluation import HELD_OUT, KINDS, AnyEvaluation, Evaluation, restored, stored
from lerobot_ambient.sweep.space import Space
from lerobot_ambient.sweep.trial import Goal

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class SlotResult:
    """One slot of a sweep.

    Args:
        slot: its number, and the name of its folder.
        state: complete, pruned, running, waiting, or failed.
        params: what was drawn, by path.
        evaluations: at each rung that was reached.
        attempts: how often a worker took it; more than one after kills.
        worker: the last one.
        seconds: of the last attempt.
        error: why it failed by itself.
    """

    slot: int
    state: str
    params: Mapping[str, Any]
    evaluations: tuple[AnyEvaluation, ...] = ()
    attempts: int = 1
    worker: str | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def is_complete(self) -> bool:
        return self.state == "complete"

    @property
    def final(self) -> AnyEvaluation:
        """The last evaluation; of a complete slot the one that counts."""
        return self.evaluations[-1]


def read_slots(trials: Sequence[FrozenTrial]) -> list[SlotResult]:
    """The slots by number; a slot's trial is the one that is done, else the last."""
    slots: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        slots.setdefault(trial.user_attrs["slot"], []).append(trial)
    results = []
    for slot, attempts in sorted(slots.items()):
        done = [trial for trial in attempts if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        trial = done[0] if done else attempts[-1]
        attrs = trial.user_attrs
        # Interrupted, and enqueued again by whoever comes next.
        is_open = trial.state == TrialState.FAIL and "error" not in attrs
        results.append(
            SlotResult(
                slot,
                "waiting" if is_open else _STATES[trial.state],
                {**attrs["point"], **trial.params},
                tuple(restored(one) for one in attrs.get("evaluations", ())),
                sum("worker" in one.user_attrs for one in attempts),
                attrs.get("worker"),
                round(trial.duration.total_seconds(), 1) if trial.duration else None,
                attrs.get("error") if trial.state == TrialState.FAIL else None,
            )
        )
    return results


def rank(evaluations: Sequence[AnyEvaluation], second: Goal | None) -> list[int]:
    """Indices, the best first.

    By success, or the score on held-out episodes; with a second metric, those whose success reaches the lower Wilson
    bound of the highest come first, by the second metric.
    """
    if not evaluations:
        return []
    floor = max(evaluations, key=lambda one: one.merit).least if second is not None else math.inf

    def order(index: int) -> tuple[Any, ...]:
        one = evaluations[index]
        value = math.inf if second is None or one.second is None else second.sign * one.second
        return (0, value, -one.merit) if one.merit >= floor else (1, -one.merit, value)

    return sorted(range(len(evaluations)), key=lambda index: (*order(index), index))


def pareto_front(evaluations: Sequence[AnyEvaluation], second: Goal) -> list[int]:
    """Indices of those that no other beats in one metric without losing in the other, by falling success."""

    def costs(one: AnyEvaluation) -> tuple[float, float]:
        return -one.merit, second.sign * (second.worst if one.second is None else one.second)

    points = [costs(one) for one in evaluations]

    def is_beaten(mine: tuple[float, float]) -> bool:
        return any(other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in points)

    return sorted((index for index, mine in enumerate(points) if not is_beaten(mine)), key=lambda index: points[index])


def expected_best(rate: float, episodes: int, trials: int) -> float:
    """Expected highest success rate of several policies that all succeed with probability `rate`.

    Exact for independent binomial counts. Evaluations on common seeds are positively correlated, so that chance gets
    a little less far.
    """
    if rate in (0.0, 1.0):
        return rate
    counts = np.arange(episodes + 1)
    factorials = np.array([math.lgamma(k + 1) for k in range(episodes + 1)])
    logs = factorials[-1] - factorials - factorials[::-1] + counts * math.log(rate)
    logs += (episodes - counts) * math.log1p(-rate)
    below = np.minimum(np.cumsum(np.exp(logs)), 1.0)
    return float((1.0 - below[:-1] ** trials).sum() / episodes)


@dataclass(frozen=True)
class SweepReport:
    """The results of a sweep, complete or not.

    Args:
        base, space: what was searched.
        slots: every slot.
        second: the second metric.
        eval_seed: of the first rollout of each evaluation.
        confirmed: rollouts on other seeds by slot, and the first of those seeds.
        confirm_seed: their first seed.
        elsewhere: slots to be confirmed whose checkpoints are not in this folder, and who has them.
        to_confirm: how many trials were to be confirmed.
    """

    base: BaseConfig
    space: Space
    slots: Sequence[SlotResult]
    second: Goal | None
    eval_seed: int
    confirmed: Mapping[int, AnyEvaluation]
    confirm_seed: int
    elsewhere: Mapping[int, str | None]
    to_confirm: int = 0

    @property
    def ranked(self) -> list[SlotResult]:
        """The complete slots, the best first, by the sweep's own evaluations."""
        complete = [one for one in self.slots if one.is_complete]
        return [complete[index] for index in rank([one.final for one in complete], self.second)]

    @property
    def front(self) -> list[SlotResult]:
        """The complete slots on the Pareto front; the best alone without a second metric; none without a winner."""
        if self.no_winner is not None:
            return []
        if self.second is None:
            return self.ranked[:1]
        complete = [one for one in self.slots if one.is_complete]
        return [complete[index] for index in pareto_front([one.final for one in complete], self.second)]

    @property
    def best(self) -> SlotResult | None:
        """The best by the confirming rollouts if any, else by the sweep's; None where `no_winner` says why."""
        if self.no_winner is not None:
            return None
        ranked = self.ranked
        again = [one for one in ranked if one.slot in self.confirmed]
        if again:
            return again[rank([self.confirmed[one.slot] for one in again], self.second)[0]]
        return ranked[0]

    @property
    def no_winner(self) -> str | None:
        """Why no trial can be called the best; None if one can."""
        complete = [one for one in self.slots if one.is_complete]
        failed = sum(one.state == "failed" for one in self.slots)
        if not complete:
            if failed and failed == len(self.slots):
                return f"Every trial failed ({failed} of {failed}): there is no winner."
            return f"No trial is complete ({failed} of {len(self.slots)} failed): there is no winner."
        # A second metric may still order policies that never succeed, where it differs.
        if not any(one.final.is_telling for one in complete) and len({one.final.second for one in complete}) == 1:
            episodes = sum(one.final.episodes for one in complete)
            more = "" if self.second is not None else ", or add --second=avg_sum_reward:maximize in a new --output-dir"
            return (
                f"None of the {episodes} rollouts of {len(complete)} trials succeeded: there is no winner, and nothing "
                f"to distinguish them. Train longer (--steps){more}."
            )
        return None

    def selection(self) -> dict[str, Any] | None:
        """How far the best of so many noisy estimates would get if all trials were equally good."""
        finals = [one.final for one in self.slots if one.is_complete and isinstance(one.final, Evaluation)]
        if len(finals) < 2:
            return None
        pooled = sum(one.successes for one in finals) / sum(one.episodes for one in finals)
        # All evaluations of a sweep have as many rollouts.
        best = expected_best(pooled, finals[0].episodes, len(finals))
        return {"trials": len(finals), "pooled_success": pooled, "expected_best_if_all_equal": best}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        best = self.best
        return {
            "second": asdict(self.second) if self.second is not None else None,
            "judge": self.base.judge,
            "eval_seeds": None if self._is_held_out else [self.eval_seed, self.eval_seed + self.base.episodes - 1],
            "trials": [_describe(one) for one in self.slots],
            "front": [one.slot for one in self.front],
            "best": best.slot if best is not None else None,
            "best_params": dict(best.params) if best is not None else None,
            "no_winner": self.no_winner,
            "selection": self.selection(),
            "confirmed": [
                {"slot": slot, "first_seed": self.confirm_seed, **one.numbers} for slot, one in self.confirmed.items()
            ],
            "not_confirmed_here": [{"slot": slot, "worker": worker} for slot, worker in self.elsewhere.items()],
        }

    @property
    def _is_held_out(self) -> bool:
        return self.base.judge == HELD_OUT

    @property
    def judged_on(self) -> str:
        """What every trial was judged on."""
        if not self._is_held_out:
            seeds = f"{self.eval_seed} to {self.eval_seed + self.base.episodes - 1}"
            return f"Rollouts on seeds {seeds}, which belong to the sweep: use others for final figures."
        dataset = self.base.parsed.dataset
        episodes = {one.final.episodes for one in self.slots if one.evaluations}
        count = f"{next(iter(episodes))} episodes" if len(episodes) == 1 else "episodes"
        return (
            f"No rollout was made. Judged on the {count} of '{dataset.repo_id}' that eval_split={dataset.eval_split:g} "
            "holds out, by the score of `lerobot-ambient check`: the smaller, the better. These episodes belong to the "
            "sweep: judge the winner on others, or on the robot."
        )

    def best_yaml(self) -> str | None:
        """The best configuration for `lerobot-train --config_path`; None before a trial is complete."""
        best = self.best
        if best is None:
            return None
        on = ", no rollout" if self._is_held_out else f" on seeds from {self.eval_seed}"
        lines = [
            f"Best of a sweep: trial {best.slot}, {best.final}{on}.",
            *(f"    policy.{path} = {value}" for path, value in best.params.items()),
        ]
        if best.slot in self.confirmed:
            again = self.confirmed[best.slot]
            lines.append(f"Confirmed on seeds from {self.confirm_seed}: {again}.")
        return render(tuned_config(self.base, self.space, best.params), lines)

    def write(self, folder: Path) -> Path | None:
        """Write sweep.json and best.yaml; returns the latter."""
        replace_text(folder / "sweep.json", json.dumps(self.to_dict(), indent=2) + "\n")
        text = self.best_yaml()
        if text is None:
            return None
        replace_text(folder / "best.yaml", text)
        return folder / "best.yaml"

    def render(self) -> str:
        """The report for a terminal."""
        paths = [*self.space.distributions]
        head = [
            "trial",
            "state",
            KINDS[self.base.judge].column,
            "95 %",
            *([self.second.name] if self.second else []),
            *paths,
        ]
        unfinished = [one for one in self.slots if not one.is_complete]
        rows = [[*_cells(one, self.second), *_settings(one, paths)] for one in [*self.ranked, *unfinished]]
        lines = _table(head, rows)
        if self.second is not None and self.front:
            lines += ["", f"Pareto front of success and {self.second.name} ({self.second.direction}):"]
            lines += [f"  trial {one.slot}: {one.final}, {_value(one.final)}" for one in self.front]
        lines += ["", self.judged_on]
        if self._is_held_out and len(self.ranked) > 1:
            lines += [
                "Intervals are of each score by itself. Whether trials differ is told better by their paired "
                "difference: `lerobot-ambient check` with their checkpoints, which --keep keeps.",
            ]
        selection = self.selection()
        if selection is not None and 0.0 < selection["pooled_success"] < 1.0:
            lines += [
                f"The best of {selection['trials']} noisy estimates is biased upward: if all trials were equally good "
                f"({100 * selection['pooled_success']:.1f} %),",
                f"the best of them would still be expected to show {100 * selection['expected_best_if_all_equal']:.1f} "
                "%. Evaluate the winner again: --confirm=3, and with another training seed.",
            ]
        if self.confirmed:
            lines += ["", f"Confirmed on seeds from {self.confirm_seed}:"]
            lines += [f"  trial {slot}: {one}{_more(one, self.second)}" for slot, one in self.confirmed.items()]
        for slot, worker in self.elsewhere.items():
            lines.append(f"  trial {slot}: not confirmed, its checkpoint is not here but with {worker}")
        failed = [one for one in self.slots if one.state == "failed"]
        for one in failed:
            # Trials mostly fail alike, so only the last one shows the end of its log.
            error = one.error or "without a message"
            lines += ["", f"trial {one.slot} failed: {error if one is failed[-1] else error.splitlines()[0]}"]
        if failed:
            lines += ["", "Once the cause is fixed, --retry-failed tries them again."]
        if self.no_winner is not None:
            lines += ["", self.no_winner]
            if self.to_confirm:
                lines.append(
                    f"--confirm={self.to_confirm} was skipped: it evaluates the best again. The same command does it "
                    "once there is a best."
                )
        return "\n".join(lines)


def _describe(one: SlotResult) -> dict[str, Any]:
    return {
        "slot": one.slot,
        "state": one.state,
        "params": dict(one.params),
        **(one.final.numbers if one.evaluations else {"success": None, "wilson95": None, "second": None}),
        "evaluations": [stored(evaluation) for evaluation in one.evaluations],
        "attempts": one.attempts,
        "worker": one.worker,
        "seconds": one.seconds,
        "error": one.error,
    }


def _value(one: AnyEvaluation) -> str:
    return "none" if one.second is None else f"{one.second:.4g}"


def _more(one: AnyEvaluation, second: Goal | None) -> str:
    return "" if second is None else f", {second.name} {_value(one)}"


def _cells(one: SlotResult, second: Goal | None) -> list[str]:
    if not one.evaluations:
        return [str(one.slot), one.state, "", "", *([""] if second else [])]
    state = one.state if one.is_complete else f"{one.state} at {one.final.step}"
    values = [_value(one.final)] if second else []
    return [str(one.slot), state, *one.final.cells, *values]


def _settings(one: SlotResult, paths: Sequence[str]) -> list[str]:
    return [setting(one.params.get(path, "")) for path in paths]


def setting(value: Any) -> str:
    """A searched value for a reader."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]


def replace_text(path: Path, text: str) -> None:
    """Write a file at once, whoever else writes it."""
    replace_file(path, text.encode())
