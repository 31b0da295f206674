# SPDX-License-Identifier: Apache-2.0
"""A worker of a sweep: takes trials of the study until none is left, then reports.

Layout of the output folder

    journal.log            the study, unless it lies in a database
    trials/0007/           a slot: configurations, logs and checkpoints of its training and evaluations
    sweep.json, best.yaml  what was found so far, written after every trial
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from lerobot_ambient.integration.commands.progress import clock, roughly
from lerobot_ambient.integration.commands.stages import StageError, StageRunner
from lerobot_ambient.sweep.evaluation import HELD_OUT, KINDS, ROLLOUTS, AnyEvaluation, Evaluation, restored, stored
from lerobot_ambient.sweep.report import SweepReport, read_slots, replace_text, setting
from lerobot_ambient.sweep.study import BEAT, DONE, SweepStudy
from lerobot_ambient.sweep.trial import (
    PRUNERS,
    Counts,
    Goal,
    TrialPlan,
    delete_checkpoints,
    read_evaluation,
)

_SAMPLERS = ("tpe", "random", "grid")
_TRIALS = 20
FAILURES = 3
"""Trials that fail one after the other before a worker gives up: then it is not the parameters."""


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep runs, besides its trials' plan.

    Args:
        output_dir: everything is written below it.
        trials: of all workers together; None is 20, or all points of a grid.
        sampler: tpe, random or grid.
        sampler_seed: trial i of a random sweep depends on it and i alone; TPE also looks at the finished trials.
        prune: None or one of `PRUNERS`.
        second: a second objective.
        storage: URL of a database; None is the journal in `output_dir`.
        study: its name.
        keep: trials, the best first, whose final checkpoint stays, besides those on the Pareto front.
        confirm: trials, the best first, that are evaluated again at the end.
        confirm_episodes, confirm_seed: how.
        retry_failed: try trials again that failed by themselves.
        stale_after: seconds without a sign of life after which another machine's worker counts as dead.
        beat, poll: seconds between signs of life, and between looks at other workers' trials at the end.
    """

    output_dir: Path
    trials: int | None = None
    sampler: str = "tpe"
    sampler_seed: int = 0
    prune: str | None = None
    second: Goal | None = None
    storage: str | None = None
    study: str = "sweep"
    keep: int = 3
    confirm: int = 0
    confirm_episodes: int = 200
    confirm_seed: int = 70_000
    retry_failed: bool = False
    stale_after: float = 600.0
    beat: float = BEAT
    poll: float = 2.0

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise ValueError(f"--trials must be at least 1, got {self.trials}.")
        for name, value, known in (("sampler", self.sampler, _SAMPLERS), ("prune", self.prune, (None, *PRUNERS))):
            if value not in known:
                raise ValueError(f"--{name} {value}: choose one of {', '.join(str(one) for one in known if one)}.")
        for name in ("sampler_seed", "keep", "confirm", "confirm_seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}.")
        if self.confirm_episodes < 1:
            raise ValueError(f"--confirm-episodes must be at least 1, got {self.confirm_episodes}.")
        if self.keep < max(1, self.confirm):
            raise ValueError(
                f"--keep {self.keep} deletes checkpoints that are needed: keep at least the best one"
                + (f", and the {self.confirm} that --confirm evaluates again." if self.confirm else ".")
            )


def run_sweep(options: SweepOptions, plan: TrialPlan, *, progress: bool = True) -> SweepReport:
    """Work on the sweep until all its trials are done, whoever does them.

    Args:
        options: how it runs.
        plan: what a trial is.
        progress: show a bar (on a terminal) and a line per finished stage and trial, on stderr.

    Raises:
        ValueError: options that contradict each other or the study.
        StageError: several trials failed one after the other, or a confirmation did.
    """
    _check_judge(options, plan)
    _check_seeds(options, plan)
    if (plan.rungs > 1) != (options.prune is not None):
        raise ValueError(
            f"--prune {options.prune} with {plan.rungs} rung(s): pruning acts on the evaluations before the last, and "
            "nothing else does; give --prune together with --rungs of at least 2, or neither."
        )
    points = plan.space.grid() if options.sampler == "grid" else []
    trials = options.trials or len(points) or _TRIALS
    if points and trials > len(points):
        raise ValueError(f"--trials {trials} exceeds the {len(points)} points of the grid; leave it out for all.")
    output = options.output_dir.resolve()
    _own(output, options.study)
    directions = [KINDS[plan.base.judge].direction, *([options.second.direction] if options.second else [])]
    with SweepStudy(
        output, options.study, directions, options.storage, options.stale_after, beat=options.beat
    ) as study:
        study.settle(_definition(options, plan))
        study.provide(trials, lambda slot: points[slot] if points else {})
        if options.retry_failed:
            study.reopen_failed()
        worker = _Worker(options, plan, study, output, progress)
        worker.work()
        return worker.report(*worker.confirm())


class _Worker:
    def __init__(self, options: SweepOptions, plan: TrialPlan, study: SweepStudy, output: Path, progress: bool) -> None:
        self._options, self._plan, self._study, self._output = options, plan, study, output
        self._progress = progress
        self._began = time.monotonic()
        self._say = self._runner().say

    def work(self) -> None:
        failures = 0
        told = False
        while self._study.open_slots():
            trial = self._study.claim(self._sampler)
            if trial is None:
                if not told:
                    self._say(f"wait  for the last {self._study.open_slots()} trials, at work elsewhere")
                    told = True
                time.sleep(self._options.poll)
                continue
            try:
                with self._study.holding(trial):
                    self._run(trial)
                failures = 0
            except UpdateFinishedTrialError:
                self._say(f"trial {trial.user_attrs['slot']} was taken over: this worker had counted as dead")
            except StageError as error:
                failures += 1
                self._study.give_back(trial, str(error))
                self._say(f"trial {trial.user_attrs['slot']} failed: {error}")
                if failures == FAILURES:
                    self._tidy()
                    raise StageError(self._gives_up(error)) from error
            except BaseException:
                # Open again at once, for whoever comes next; what its stages have done is not done again.
                self._study.give_back(trial)
                raise
            self._tidy()
            self._tell_how_far()
        self._tidy()

    def confirm(self) -> tuple[dict[int, AnyEvaluation], dict[int, str | None]]:
        """Rollouts of the best on other seeds, by slot; and slots whose checkpoints lie elsewhere."""
        report = self.report()
        best = report.ranked[: self._options.confirm] if report.no_winner is None else []
        stages, elsewhere = {}, {}
        for one in best:
            folder = self._folder(one.slot)
            settings = ("confirm", self._options.confirm_seed, self._options.confirm_episodes)
            stage = self._plan.evaluate(folder, one.params, self._plan.rungs, *settings)
            if stage.is_done or self._plan.checkpoint(folder, self._plan.rungs).is_dir():
                stages[one.slot] = stage
            else:
                elsewhere[one.slot] = one.worker
        self._runner().run([list(stages.values())], "confirm")
        second, steps = self._options.second, self._plan.base.steps
        return {slot: read_evaluation(stage, steps, second) for slot, stage in stages.items()}, elsewhere

    def report(
        self, confirmed: dict[int, AnyEvaluation] | None = None, elsewhere: dict[int, str | None] | None = None
    ) -> SweepReport:
        """The state of the sweep, also written into the folder."""
        report = SweepReport(
            self._plan.base,
            self._plan.space,
            read_slots(self._study.trials),
            self._options.second,
            self._plan.eval_seed,
            confirmed or {},
            self._options.confirm_seed,
            elsewhere or {},
            self._options.confirm,
        )
        report.write(self._output)
        return report

    def _run(self, trial: Trial) -> None:
        plan, second = self._plan, self._options.second
        slot = trial.user_attrs["slot"]
        params = plan.space.draw(trial)
        evaluations: list[AnyEvaluation] = []
        for rung in range(1, plan.rungs + 1):
            stages = plan.stages(self._folder(slot), params, rung)
            self._runner().run([stages], f"trial {slot}, {slot + 1} of {self._study.slots}")
            evaluation = read_evaluation(stages[-1], plan.step(rung), second)
            evaluations.append(evaluation)
            trial.set_user_attr("evaluations", [stored(one) for one in evaluations])
            if rung < plan.rungs and self._is_hopeless(trial, evaluation):
                self._study.finish(trial, None, TrialState.PRUNED)
                self._say(f"trial {slot} pruned at step {evaluation.step}: {evaluation.in_a_line}")
                return
        final = evaluations[-1]
        values = [final.objective]
        if second is not None:
            values.append(second.worst if final.second is None else final.second)
        if not self._study.finish(trial, values, TrialState.COMPLETE):
            self._say(f"trial {slot} was taken over: this worker had counted as dead")
            return
        settings = ", ".join(f"{path} {setting(value)}" for path, value in params.items())
        self._say(f"trial {slot}: {final.in_a_line} with {settings}")

    def _tell_how_far(self) -> None:
        open_slots, slots = self._study.open_slots(), self._study.slots
        # Of trials that were resumed only the last stretch, of pruned ones all they took: both are what lies ahead.
        took = [t.duration.total_seconds() for t in self._study.trials if t.state in DONE and t.duration]
        workers = max(1, sum(trial.state == TrialState.RUNNING for trial in self._study.trials) + 1)
        spent = f", {clock(time.monotonic() - self._began)}"
        left = f", {roughly(statistics.mean(took) * open_slots / workers)} left" if took and open_slots else ""
        self._say(f"sweep: {slots - open_slots} of {slots} trials done{spent}{left}")

    def _gives_up(self, error: StageError) -> str:
        trials = self._study.trials
        done = sum(trial.state in DONE for trial in trials)
        others = "and none is done: there is no winner" if not done else f"{done} others are done"
        return (
            f"{FAILURES} trials failed one after the other, {others}. So this process gives up: it is not their "
            f"parameters. The last one: {error}\nThen add --retry-failed, which tries failed trials again."
        )

    def _is_hopeless(self, trial: Trial, own: AnyEvaluation) -> bool:
        assert self._options.prune is not None and isinstance(own, Evaluation)
        if self._options.second is None:
            # TPE reads it from a pruned trial.
            trial.report(own.rate, own.step)
        peers: list[Counts] = []
        for other in self._study.trials:
            if other.number != trial.number and other.state != TrialState.FAIL:
                reached = [restored(one) for one in other.user_attrs.get("evaluations", ())]
                at = [one for one in reached if one.step == own.step and isinstance(one, Evaluation)]
                peers += [(one.successes, one.episodes) for one in at]
        return PRUNERS[self._options.prune]((own.successes, own.episodes), peers)

    def _runner(self) -> StageRunner:
        # A new one each time: after a stage that failed it starts no other.
        return StageRunner(self._output, jobs=1, progress=self._progress)

    def _sampler(self, slot: int) -> BaseSampler:
        # A stream of its own for every trial: what is drawn does not depend on which worker draws it.
        seed = int(np.random.SeedSequence([self._options.sampler_seed, slot]).generate_state(1)[0])
        return TPESampler(seed=seed) if self._options.sampler == "tpe" else RandomSampler(seed=seed)

    def _tidy(self) -> None:
        """Write the report and delete the checkpoints of trials that are done, except the last one of the best."""
        with self._study.alone():
            report = self.report()
            # What is on the front may yet become the best, because the best trades success for the second metric.
            kept = {one.slot for one in [*report.ranked[: self._options.keep], *report.front]}
            for one in report.slots:
                if one.state in ("complete", "pruned"):
                    folder = self._folder(one.slot)
                    keep = self._plan.checkpoint(folder, self._plan.rungs) if one.slot in kept else None
                    delete_checkpoints(folder, keep)

    def _folder(self, slot: int) -> Path:
        return self._output / "trials" / f"{slot:04d}"


def _check_judge(options: SweepOptions, plan: TrialPlan) -> None:
    """What a score on held-out episodes has no use for."""
    asked = {"--prune": options.prune, "--confirm": options.confirm}
    found = [name for name, value in asked.items() if value]
    if plan.base.judge == HELD_OUT and found:
        raise ValueError(
            f"{' and '.join(found)} with --judge={HELD_OUT}: these are of rollouts, and every finished training is "
            "judged once on the same held-out episodes; leave them out."
        )


def _definition(options: SweepOptions, plan: TrialPlan) -> dict[str, Any]:
    """What must not change while a study goes on; plain values."""
    # Studies from before there was a choice do not name it.
    judge = {} if plan.base.judge == ROLLOUTS else {"judge": plan.base.judge}
    return {
        **judge,
        "config": plan.base.without_places(),
        "space": plan.space.to_dict(),
        "second": asdict(options.second) if options.second else None,
        "eval_seed": plan.eval_seed,
        "rungs": plan.rungs,
        "prune": options.prune,
        "sampler": options.sampler,
        "sampler_seed": options.sampler_seed,
    }


def _check_seeds(options: SweepOptions, plan: TrialPlan) -> None:
    """The seeds that confirm must not be among those that chose."""
    if plan.base.judge == HELD_OUT:
        return
    ours = (plan.eval_seed, plan.eval_seed + plan.base.episodes)
    others = (options.confirm_seed, options.confirm_seed + options.confirm_episodes)
    if options.confirm and ours[0] < others[1] and others[0] < ours[1]:
        raise ValueError(
            f"--confirm-seed {others[0]} with {options.confirm_episodes} episodes meets the sweep's seeds {ours[0]} to "
            f"{ours[1] - 1}: the winner would be judged by the rollouts that made it win. Use --confirm-seed "
            f"{ours[1]}, or more."
        )


def _own(output: Path, study: str) -> None:
    """Two studies would move each other's trials aside."""
    marker = output / "study.json"
    output.mkdir(parents=True, exist_ok=True)
    if marker.exists():
        other = json.loads(marker.read_text(encoding="utf-8"))["study"]
        if other != study:
            raise ValueError(f"{output} holds the trials of study '{other}'; use another --output-dir for '{study}'.")
        return
    replace_text(marker, json.dumps({"study": study}) + "\n")
