# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient sweep`, its trials replaced by two small programs where only the bookkeeping matters."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.commands.stages import StageError
from lerobot_ambient.sweep.config import load_base
from lerobot_ambient.sweep.report import SweepReport, read_slots
from lerobot_ambient.sweep.space import read_space
from lerobot_ambient.sweep.storage import open_database, open_journal
from lerobot_ambient.sweep.trial import Commands, Goal, TrialPlan
from lerobot_ambient.sweep.worker import SweepOptions, run_sweep

SPACE = '{"sources.0.sigma_min": [0.05, 0.6], "mixing.alpha": [0.2, 0.8]}'

FAKE = """
import json, os, re, sys, time
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:])
calls, pause = os.environ["CALLS"], float(os.environ.get("PAUSE", "0.02"))

def note(what, folder):
    with open(calls, "a") as file:
        file.write(f"{what} {folder}\\n")

def number(text, name):
    return float(re.search(rf"^ *(?:- )?{name}: ([0-9.e-]+)$", text, re.M)[1])

if sys.argv[1] == "train":
    text = open(words["config_path"]).read()
    run = words.get("output_dir") or os.path.dirname(words["config_path"]).split("/checkpoints")[0]
    steps, freq = int(number(text, "steps")), int(number(text, "save_freq"))
    sigma_min = number(text, "sigma_min")
    if os.environ.get("FAIL_ABOVE") and sigma_min > float(os.environ["FAIL_ABOVE"]):
        sys.exit("sigma_min is too high for this machine")
    link = f"{run}/checkpoints/last"
    if words.get("resume") == "true":
        begin = int(os.readlink(link))
        note(f"resume-{begin}", run)
    else:
        os.makedirs(run)
        begin = 0
        note("train", run)
    for step in range(begin + 1, steps + 1):
        time.sleep(pause)
        if step % freq == 0 or step == steps:
            folder = f"{run}/checkpoints/{step:06d}"
            os.makedirs(f"{folder}/pretrained_model", exist_ok=True)
            with open(f"{folder}/pretrained_model/train_config.json", "w") as file:
                file.write(text)
            if os.path.islink(link):
                os.unlink(link)
            os.symlink(f"{step:06d}", link)
    note("trained", run)
else:
    run, policy = words["output_dir"], words["policy.path"]
    config, text = open(words["config_path"]).read(), open(policy + "/train_config.json").read()
    episodes, seed = int(number(config, "n_episodes")), int(number(config, "seed"))
    step = int(policy.split("/")[-2])
    share = max(0.0, 1.0 - 2.0 * abs(number(text, "sigma_min") - 0.3)) * step / number(text, "steps")
    successes = [i < round(share * episodes) for i in range(episodes)]
    rewards = [-number(text, "alpha")] * episodes
    metrics = {"successes": successes, "sum_rewards": rewards}
    os.makedirs(run)
    with open(run + "/eval_info.json", "w") as file:
        json.dump({"per_task": [{"metrics": metrics}], "overall": {"avg_sum_reward": rewards[0]}}, file)
    note(f"evaluated-{seed}", run)
"""


@pytest.fixture(scope="module")
def make_plan(tmp_path_factory) -> Callable[..., TrialPlan]:
    """A plan whose training and evaluation are the program above; steps=9, ten rollouts."""
    fake = tmp_path_factory.mktemp("fake") / "fake.py"
    fake.write_text(FAKE)
    base = load_base(
        None,
        [
            "--dataset.repo_id=me/target",
            '--policy.sources=[{"repo_id": "me/sim", "sigma_min": 0.3}]',
            *("--policy.type=ambient_diffusion", "--policy.device=cpu"),
            *("--policy.mixing.type=ambient", "--policy.mixing.alpha=0.5"),
            *("--env.type=ambient_maze", "--eval.n_episodes=10", "--steps=9", "--seed=3"),
        ],
    )
    start = (sys.executable, "-ES", str(fake))
    commands = Commands((*start, "train"), (*start, "eval"))

    def make_plan(space: str = SPACE, rungs: int = 1) -> TrialPlan:
        return TrialPlan(base, read_space(space, base.parsed.policy), 50_000, rungs, commands)

    return make_plan


@pytest.fixture(autouse=True)
def calls(tmp_path, monkeypatch) -> Path:
    """Where the programs note what they did, a line each."""
    file = tmp_path / "calls"
    file.touch()
    monkeypatch.setenv("CALLS", str(file))
    return file


def sweep(options: SweepOptions, plan: TrialPlan) -> SweepReport:
    return run_sweep(replace(options, poll=0.05), plan, progress=False)


def start_worker(options: SweepOptions, plan: TrialPlan) -> multiprocessing.Process:
    """The same in a process of its own, forked: it would take seconds to import LeRobot again."""
    process = multiprocessing.get_context("fork").Process(target=sweep, args=(options, plan))
    process.start()
    return process


def kill(process: multiprocessing.Process) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def trials_of(folder: Path, url: str | None = None) -> list[optuna.trial.FrozenTrial]:
    storage = open_journal(folder / "journal.log") if url is None else open_database(url)
    return optuna.load_study(study_name="sweep", storage=storage).get_trials()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_nothing_lost_or_repeated(trials: list[optuna.trial.FrozenTrial], count: int) -> None:
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(count))
    assert len({json.dumps(trial.params) for trial in done}) == count
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert not any("error" in trial.user_attrs for trial in trials)


# A kill


@pytest.mark.parametrize(("count", "database"), [(20, "journal"), (5, "sqlite"), (5, "postgresql")])
def test_a_killed_sweep_resumed_by_two_processes_loses_and_repeats_no_trial(
    tmp_path, make_plan, calls, monkeypatch, count, database, request
):
    url = {"journal": None, "sqlite": f"sqlite:///{tmp_path}/sweep.db"}.get(database, database)
    if database == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    options = SweepOptions(tmp_path / "out", trials=count, sampler="random", keep=count, storage=url)
    plan = make_plan()
    if url is not None:
        open_database(url)  # So that the processes below need not load its driver one by one.
    worker = start_worker(options, plan)
    # In the middle of a training: the third has begun.
    wait_for(lambda: calls.read_text().count("train ") == 3)
    kill(worker)
    before = {trial.number: trial for trial in trials_of(tmp_path / "out", url)}
    held = [trial for trial in before.values() if trial.state == TrialState.RUNNING]
    assert len(held) == 1

    monkeypatch.setenv("PAUSE", "0.01")
    workers = [start_worker(options, plan) for _ in range(2)]
    for process in workers:
        process.join(120)
        assert process.exitcode == 0

    trials = trials_of(tmp_path / "out", url)
    assert_nothing_lost_or_repeated(trials, count)
    # What was done stayed as it was; what was under way was ended and done with the same parameters.
    assert all(trials[number] == one for number, one in before.items() if one.state == TrialState.COMPLETE)
    assert trials[held[0].number].state == TrialState.FAIL
    (again,) = [t for t in trials[count:] if t.state == TrialState.COMPLETE]
    assert (again.user_attrs["slot"], again.params) == (held[0].user_attrs["slot"], held[0].params)
    assert len(trials) == count + 1
    # No other training was started twice, and no policy was evaluated twice. The one under way had been left to its
    # child, which a killed worker cannot take along; it was waited for.
    counts = Counter(calls.read_text().split("\n"))
    folder = str(tmp_path / "out" / "trials" / f"{again.user_attrs['slot']:04d}")
    assert {line for line, count in counts.items() if count > 1} <= {f"trained {folder}/train-1/run"}
    assert sum(count for line, count in counts.items() if line.startswith("evaluated")) == count
    names = {trial.user_attrs["worker"] for trial in trials if trial.state == TrialState.COMPLETE}
    assert len(names) == 3 or count < 20


def test_kills_at_any_moment_lose_and_repeat_nothing(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.005")
    options = SweepOptions(tmp_path / "out", trials=20, sampler="random", keep=20)
    plan = make_plan()
    killed = 0
    for moment in (0.02, 0.07, 0.19, 0.32, 0.5):
        workers = [start_worker(options, plan) for _ in range(2)]
        time.sleep(moment)
        for process in workers:
            process.kill()
            process.join()
            killed += process.exitcode == -signal.SIGKILL
    sweep(options, plan)
    assert killed >= 4
    assert_nothing_lost_or_repeated(trials_of(tmp_path / "out"), 20)


def test_an_interrupted_worker_opens_its_trial_again(tmp_path, make_plan, calls, monkeypatch):
    monkeypatch.setenv("PAUSE", "5")
    options = SweepOptions(tmp_path / "out", trials=1)
    worker = start_worker(options, make_plan())
    wait_for(lambda: calls.read_text().count("train ") == 1)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(30)
    (trial,) = trials_of(tmp_path / "out")
    assert (trial.state, "error" in trial.user_attrs) == (TrialState.FAIL, False)
    assert read_slots([trial])[0].state == "waiting"
    monkeypatch.setenv("PAUSE", "0")
    assert sweep(options, make_plan()).slots[0].params == trial.params


def test_a_worker_that_was_taken_for_dead_does_not_count_twice(tmp_path, make_plan, calls, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.05")
    worker = start_worker(SweepOptions(tmp_path / "out", trials=2, sampler="random"), make_plan())
    wait_for(lambda: calls.read_text().count("train ") == 1)
    # What another machine does after a long silence.
    storage = open_journal(tmp_path / "out" / "journal.log")
    optuna.load_study(study_name="sweep", storage=storage).tell(0, state=TrialState.FAIL)
    worker.join(60)
    assert worker.exitcode == 0
    trials = trials_of(tmp_path / "out")
    assert_nothing_lost_or_repeated(trials, 2)
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert calls.read_text().count("evaluated") == 2


# A sweep


def test_a_sweep_finds_the_best_and_writes_it_down(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    space = '{"sources.0.sigma_min": {"low": 0.1, "high": 0.4, "step": 0.1}, "mixing.alpha": {"choices": [0.3, 0.6]}}'
    goal = Goal("avg_sum_reward", "maximize")
    options = SweepOptions(tmp_path / "out", sampler="grid", second=goal, keep=1, confirm=1, confirm_episodes=20)
    report = sweep(options, make_plan(space))
    # Success is 1 - 2 |sigma_min - 0.3|, the reward -alpha. With ten rollouts 0.8 is as good as 1; the reward decides.
    assert [one.params["sources.0.sigma_min"] for one in report.slots] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4]
    assert [one.final.successes for one in report.slots] == [6, 6, 8, 8, 10, 10, 8, 8]
    assert report.best is not None
    assert report.best.params == {"sources.0.sigma_min": 0.3, "mixing.alpha": 0.3}
    assert [one.slot for one in report.front] == [4]
    assert report.confirmed[4].episodes == 20
    written = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert written == report.to_dict()
    assert (written["best"], written["front"], written["eval_seeds"]) == (4, [4], [50_000, 50_009])
    best = yaml.safe_load((tmp_path / "out" / "best.yaml").read_text())
    expected = {"repo_id": "me/sim", "sigma_min": 0.3}
    assert (best["policy"]["sources"], best["policy"]["mixing"]) == ([expected], {"type": "ambient", "alpha": 0.3})
    assert (best["steps"], best["seed"], best["env"]) == (9, 3, {"type": "ambient_maze"})
    # The checkpoint of the best is kept, the others' are not; every log is.
    kept = [path.relative_to(tmp_path / "out" / "trials").parts for path in tmp_path.glob("out/trials/*/**/00*")]
    assert kept == [("0004", "train-1", "run", "checkpoints", "000009")]
    assert len(list(tmp_path.glob("out/trials/*/*/log.txt"))) == 17
    text = report.render()
    assert "Pareto front of success and avg_sum_reward (maximize):" in text
    assert "Rollouts on seeds 50000 to 50009, which belong to the sweep" in text


def test_a_smaller_keep_deletes_what_an_earlier_call_kept(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    options = SweepOptions(tmp_path / "out", trials=2, sampler="random", keep=2)
    best = sweep(options, make_plan()).ranked[0].slot
    assert len(list(tmp_path.glob("out/trials/*/train-1/run/checkpoints/000009"))) == 2
    sweep(replace(options, keep=1), make_plan())
    (kept,) = tmp_path.glob("out/trials/*/train-1/run/checkpoints/000009")
    assert kept.parts[-5] == f"{best:04d}"


def test_a_trial_whose_checkpoint_lies_elsewhere_is_named_instead_of_confirmed(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    options = SweepOptions(tmp_path / "out", trials=2, sampler="random", keep=2)
    first, second = sweep(options, make_plan()).ranked
    shutil.rmtree(tmp_path / "out" / "trials" / f"{first.slot:04d}")
    report = sweep(replace(options, confirm=2, confirm_episodes=5), make_plan())
    assert report.elsewhere == {first.slot: first.worker}
    assert list(report.confirmed) == [second.slot]
    assert f"trial {first.slot}: not confirmed, its checkpoint is not here but with {first.worker}" in report.render()


def test_the_best_file_is_what_the_trial_trained(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    sweep(SweepOptions(tmp_path / "out", trials=2, sampler="random"), make_plan())
    best = load_base(str(tmp_path / "out" / "best.yaml"), [])
    number = json.loads((tmp_path / "out" / "sweep.json").read_text())["best"]
    trained = yaml.safe_load((tmp_path / "out" / "trials" / f"{number:04d}" / "train-1" / "train.yaml").read_text())
    assert trained["policy"] == {**best.options["policy"], "push_to_hub": False}
    assert {**best.options, **trained, "policy": None} == {**trained, "policy": None, "env": best.options["env"]} | {
        "eval": best.options["eval"]
    }


def test_a_random_sweep_does_not_depend_on_who_works_on_it(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.01")
    one = SweepOptions(tmp_path / "one", trials=6, sampler="random", sampler_seed=5)
    alone = [slot.params for slot in sweep(one, make_plan()).slots]
    two = replace(one, output_dir=tmp_path / "two")
    workers = [start_worker(two, make_plan()) for _ in range(2)]
    for process in workers:
        process.join(60)
    assert [slot.params for slot in read_slots(trials_of(tmp_path / "two"))] == alone
    assert len({json.dumps(params) for params in alone}) == 6


def test_more_trials_extend_a_finished_sweep(tmp_path, make_plan, calls, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    options = SweepOptions(tmp_path / "out", trials=2, sampler="random")
    sweep(options, make_plan())
    before = calls.read_text()
    assert len(sweep(options, make_plan()).slots) == 2
    assert calls.read_text() == before
    assert len(sweep(replace(options, trials=3), make_plan()).slots) == 3
    assert calls.read_text().count("evaluated") == 3


# Pruning


@pytest.mark.parametrize("second", [None, Goal("avg_sum_reward", "maximize")], ids=["one", "two objectives"])
def test_weak_trials_are_ended_at_a_rung_and_strong_ones_go_on(tmp_path, make_plan, calls, monkeypatch, second):
    monkeypatch.setenv("PAUSE", "0.06")
    space = '{"sources.0.sigma_min": {"choices": [0.3, 0.05, 0.31]}}'
    options = SweepOptions(tmp_path / "out", sampler="grid", prune="halving", second=second)
    report = sweep(options, make_plan(space, rungs=3))
    assert [one.state for one in report.slots] == ["complete", "pruned", "complete"]
    assert [[one.step for one in slot.evaluations] for slot in report.slots] == [[3, 6, 9], [3], [3, 6, 9]]
    # One training in pieces, each ended after its checkpoint and gone on with from there.
    lines = Counter(line.split()[0] for line in calls.read_text().splitlines() if "/0000/" in line)
    assert (lines["train"], lines["trained"], lines["evaluated-50000"]) == (1, 1, 3)
    assert lines["resume-3"] + lines["resume-6"] >= 1
    assert "trained" not in [line.split()[0] for line in calls.read_text().splitlines() if "/0001/" in line]
    assert not list(tmp_path.glob("out/trials/0001/train-1/run/checkpoints/*"))


def test_a_trial_killed_between_rungs_goes_on_from_the_last(tmp_path, make_plan, calls, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.05")
    options = SweepOptions(tmp_path / "out", trials=1, prune="median")
    worker = start_worker(options, make_plan(rungs=3))
    wait_for(lambda: "resume-6" in calls.read_text())
    kill(worker)
    sweep(options, make_plan(rungs=3))
    lines = Counter(line.split()[0] for line in calls.read_text().splitlines())
    assert (lines["train"], lines["resume-3"], lines["evaluated-50000"]) == (1, 1, 3)


# Failures


def test_a_trial_that_fails_is_reported_and_tried_again_only_when_asked(tmp_path, make_plan, calls, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    monkeypatch.setenv("FAIL_ABOVE", "0.35")
    space = '{"sources.0.sigma_min": {"choices": [0.3, 0.4, 0.2]}}'
    options = SweepOptions(tmp_path / "out", sampler="grid")
    report = sweep(options, make_plan(space))
    assert [one.state for one in report.slots] == ["complete", "failed", "complete"]
    assert "sigma_min is too high for this machine" in (report.slots[1].error or "")
    assert "--retry-failed" in report.render()
    monkeypatch.delenv("FAIL_ABOVE")
    assert sweep(options, make_plan(space)).slots[1].state == "failed"
    again = sweep(replace(options, retry_failed=True), make_plan(space))
    assert [one.state for one in again.slots] == ["complete"] * 3
    assert again.slots[1].params == report.slots[1].params
    assert calls.read_text().count("evaluated") == 3


def test_a_worker_gives_up_when_everything_fails(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("FAIL_ABOVE", "0")
    with pytest.raises(StageError, match="sigma_min is too high"):
        sweep(SweepOptions(tmp_path / "out", trials=9), make_plan())
    assert Counter(one.state for one in read_slots(trials_of(tmp_path / "out"))) == {"failed": 3, "waiting": 6}


@pytest.mark.parametrize("trials", [2, 4])
def test_a_sweep_whose_trials_all_fail_names_no_winner(tmp_path, make_plan, monkeypatch, capsys, trials):
    monkeypatch.setenv("FAIL_ABOVE", "0")
    assert through_the_verb(tmp_path / "out", make_plan(), monkeypatch, f"--trials={trials}") == 1
    told = capsys.readouterr()
    if trials == 2:
        assert told.out.splitlines()[-3] == "Every trial failed (2 of 2): there is no winner."
    else:
        assert "3 trials failed one after the other, and none is done: there is no winner." in told.err
        assert "The last one: stage trials/0002/train-1 failed with exit code 1" in told.err
    written = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (written["best"], written["best_params"]) == (None, None)
    assert "there is no winner" in written["no_winner"]
    assert not (tmp_path / "out" / "best.yaml").exists()
    assert not (tmp_path / "out" / "sweep.png").exists()


def test_a_sweep_without_a_success_names_no_winner(tmp_path, make_plan, monkeypatch, capsys):
    monkeypatch.setenv("PAUSE", "0")
    space = '{"sources.0.sigma_min": {"choices": [0.9, 0.95]}}'
    words = ("--sampler=grid", "--confirm=1", "--second=mean_squared_acceleration:minimize")
    assert through_the_verb(tmp_path / "out", make_plan(space), monkeypatch, *words) == 1
    told = capsys.readouterr()
    assert "None of the 20 rollouts of 2 trials succeeded: there is no winner" in told.out
    assert "\n--confirm=1 was skipped: it evaluates the best again." in told.out
    # All trials are equal at nothing, and would stand on it.
    assert "Pareto front" not in told.out
    assert "best configuration" not in told.out
    assert not (tmp_path / "out" / "best.yaml").exists()
    assert not list(tmp_path.glob("out/trials/*/confirm"))


def test_a_sweep_tells_how_far_it_is_and_ends_with_a_figure(tmp_path, make_plan, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.setenv("PAUSE", "0")
    space = '{"sources.0.sigma_min": {"choices": [0.2, 0.3]}, "mixing.type": ["ambient", "cotrain"]}'
    assert through_the_verb(tmp_path / "out", make_plan(space), monkeypatch, "--sampler=grid") == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-2:] == [
        f"figure:             {tmp_path / 'out' / 'sweep.png'}",
        f"best configuration: {tmp_path / 'out' / 'best.yaml'}",
    ]
    lines = told.err.splitlines()
    log = tmp_path / "out" / "trials" / "0000" / "train-1" / "log.txt"
    assert f"start stage 1 of 2 (trial 0, 1 of 3): trials/0000/train-1; follow it: tail -f {log}" in lines
    (first,) = [line for line in lines if line.startswith("sweep: 1 of 3 trials done, ")]
    assert first.endswith(" left")
    assert lines[-1].startswith("sweep: 3 of 3 trials done, ")
    with Image.open(tmp_path / "out" / "sweep.png") as picture:
        pixels = picture.convert("RGB")
        assert len(pixels.getcolors(1 << 24)) > 50
        green = [colour for _, colour in pixels.getcolors(1 << 24) if colour == (0x00, 0x9E, 0x73)]
    assert green


def through_the_verb(folder: Path, plan: TrialPlan, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """`lerobot-ambient sweep`, its trials replaced by the programs above."""
    from lerobot_ambient.sweep import config as sweep_config
    from lerobot_ambient.sweep import trial as sweep_trial

    monkeypatch.setattr(sweep_config, "load_base", lambda *_: plan.base)
    monkeypatch.setattr(sweep_config, "check_space", lambda *_: None)
    monkeypatch.setattr(sweep_trial.Commands, "stock", lambda: plan.commands)
    space = json.dumps({name: _declared(one) for name, one in plan.space.distributions.items()})
    return main(["sweep", f"--output-dir={folder}", f"--space={space}", *more])


def _declared(distribution) -> dict[str, object]:
    choices = getattr(distribution, "choices", None)
    return {"choices": list(choices)} if choices else {"low": distribution.low, "high": distribution.high}


def test_another_sweep_in_the_same_folder_is_refused(tmp_path, make_plan, monkeypatch):
    monkeypatch.setenv("PAUSE", "0")
    options = SweepOptions(tmp_path / "out", trials=1)
    sweep(options, make_plan())
    with pytest.raises(ValueError, match=r"other settings: space\.distributions\.mixing\.alpha\.attributes\.high was"):
        sweep(options, make_plan(SPACE.replace("0.8", "0.7")))
    with pytest.raises(ValueError, match="sampler_seed was 0 and is now 4"):
        sweep(replace(options, sampler_seed=4), make_plan())
    with pytest.raises(ValueError, match="holds the trials of study 'sweep'; use another --output-dir for 'other'"):
        sweep(replace(options, study="other"), make_plan())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"sampler": "annealing"}, "--sampler annealing: choose one of tpe, random, grid"),
        ({"prune": "hyperband"}, "--prune hyperband: choose one of median, halving"),
        ({"keep": 0}, "keep at least the best one"),
        ({"keep": 2, "confirm": 3}, "and the 3 that --confirm evaluates again"),
        ({"confirm_seed": -1}, "--confirm-seed must not be negative, got -1"),
        ({"confirm": 1, "confirm_episodes": 0}, "--confirm-episodes must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        replace(SweepOptions(tmp_path), **change)


def test_options_that_contradict_the_plan_are_refused(tmp_path, make_plan):
    options = SweepOptions(tmp_path / "out")
    with pytest.raises(ValueError, match=r"--prune median with 1 rung\(s\)"):
        sweep(replace(options, prune="median"), make_plan())
    with pytest.raises(ValueError, match=r"--prune None with 3 rung\(s\)"):
        sweep(options, make_plan(rungs=3))
    with pytest.raises(
        ValueError, match="--confirm-seed 49990 with 20 episodes meets the sweep's seeds 50000 to 50009"
    ):
        sweep(replace(options, confirm=1, confirm_seed=49_990, confirm_episodes=20), make_plan())
    with pytest.raises(ValueError, match="sigma_min is a range without end of points"):
        sweep(replace(options, sampler="grid"), make_plan())
    with pytest.raises(ValueError, match="--trials 3 exceeds the 2 points of the grid"):
        sweep(replace(options, sampler="grid", trials=3), make_plan('{"mixing.alpha": {"choices": [0.2, 0.4]}}'))
    with pytest.raises(ValueError, match="--rungs 10 must lie between 1 and the training steps, 9"):
        make_plan(rungs=10)
    assert not (tmp_path / "out").exists()
