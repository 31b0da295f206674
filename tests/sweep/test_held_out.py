# SPDX-License-Identifier: Apache-2.0
"""`sweep --judge=heldout`: the score on held-out episodes in place of rollouts, where no environment can be named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.sweep.config import check_space, load_base
from lerobot_ambient.sweep.evaluation import HELD_OUT, Evaluation, HeldOutEvaluation, restored, stored
from lerobot_ambient.sweep.figure import draw_sweep
from lerobot_ambient.sweep.report import rank
from lerobot_ambient.sweep.space import read_space
from lerobot_ambient.sweep.trial import Commands, TrialPlan
from lerobot_ambient.sweep.worker import SweepOptions, run_sweep

from ..cli.test_sweep import options_for

SPACE = '{"sources.0.sigma_min": {"choices": [0.1, 0.3, 0.5]}}'
WITHOUT_ENVIRONMENT = (
    "--dataset.repo_id=me/target",
    "--dataset.eval_split=0.2",
    '--policy.sources=[{"repo_id": "me/sim", "sigma_min": 0.3}]',
    *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--steps=4", "--seed=3"),
    *("--policy.mixing.type=ambient", "--policy.mixing.alpha=0.5"),
)

# A training that leaves its configuration, and a judgement that is best at sigma_min 0.3.
FAKE = """
import json, os, re, sys
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:] if "=" in word)
with open(os.environ["CALLS"], "a") as file:
    file.write(sys.argv[1] + "\\n")
if sys.argv[1] == "train":
    text = open(words["config_path"]).read()
    folder = words["output_dir"] + "/checkpoints/000004/pretrained_model"
    os.makedirs(folder)
    open(folder + "/train_config.json", "w").write(text)
    os.symlink("000004", words["output_dir"] + "/checkpoints/last")
else:
    text = open(sys.argv[2] + "/train_config.json").read()
    score = 0.02 + abs(float(re.search(r"sigma_min: ([0-9.]+)", text)[1]) - 0.3)
    os.makedirs(words["report"])
    found = {"dataset": {"episodes": [8, 9]}}
    found["ranking"] = [{"score": {"value": score, "low": score - 0.01, "high": score + 0.01}}]
    json.dump(found, open(words["report"] + "/check.json", "w"))
"""


@pytest.fixture
def plan(tmp_path, monkeypatch) -> TrialPlan:
    fake = tmp_path / "fake.py"
    fake.write_text(FAKE)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    base = load_base(None, WITHOUT_ENVIRONMENT, HELD_OUT)
    start = (sys.executable, "-ES", str(fake))
    commands = Commands((*start, "train"), (*start, "eval"), (*start, "check"))
    return TrialPlan(base, read_space(SPACE, base.parsed.policy), 50_000, 1, commands)


def test_the_smallest_score_wins_and_nothing_is_done_twice(plan, tmp_path):
    options = SweepOptions(tmp_path / "out", sampler="grid", keep=1)
    report = run_sweep(options, plan, progress=False)
    assert report.best.params == {"sources.0.sigma_min": 0.3}
    assert [one.final.score for one in report.ranked] == pytest.approx([0.02, 0.22, 0.22])
    assert (tmp_path / "calls").read_text().split() == ["train", "check"] * 3
    assert run_sweep(options, plan, progress=False).to_dict() == report.to_dict()
    assert (tmp_path / "calls").read_text().split() == ["train", "check"] * 3

    text = report.render()
    assert "No rollout was made. Judged on the 2 episodes of 'me/target' that eval_split=0.2 holds out" in text
    assert "held-out score" in text
    assert "success" not in text
    found = report.to_dict()
    assert found["judge"] == "heldout"
    assert found["eval_seeds"] is None
    assert found["selection"] is None
    assert found["trials"][1]["score"] == pytest.approx(0.02)
    assert found["trials"][1]["interval95"] == pytest.approx([0.01, 0.03])
    best = (tmp_path / "out" / "best.yaml").read_text()
    assert "held-out score 0.02" in best
    assert "no rollout" in best
    assert draw_sweep(report, tmp_path / "sweep.png").stat().st_size > 1000


def test_a_study_of_rollouts_is_not_gone_on_with(plan, tmp_path):
    options = SweepOptions(tmp_path / "out", trials=1, sampler="random")
    run_sweep(options, plan, progress=False)
    rollouts = load_base(None, [*WITHOUT_ENVIRONMENT, "--env.type=ambient_maze"])
    with pytest.raises(ValueError, match="judge"):
        run_sweep(options, TrialPlan(rollouts, plan.space, 50_000, 1, plan.commands), progress=False)


@pytest.mark.parametrize("kind", [Evaluation(9, 3, 10, 1.5), HeldOutEvaluation(9, 0.2, None, None, 1)])
def test_a_study_keeps_either_kind(kind):
    assert restored(json.loads(json.dumps(stored(kind)))) == kind


def test_scores_rank_upwards():
    scores = [HeldOutEvaluation(1, score, score - 0.1, score + 0.1, 5) for score in (0.3, 0.1, 0.2)]
    assert rank(scores, None) == [1, 2, 0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--judge=heldout and --dataset.eval_split=0.2."),
        (["--dataset.eval_split=0.3"], "can judge on held-out episodes of the target: --judge=heldout."),
        (["--judge=heldout"], "none is held out; write --dataset.eval_split=0.2"),
        (["--judge=heldout", "--env.type=ambient_maze"], "none is held out; write --dataset.eval_split=0.2"),
        (
            ["--judge=heldout", "--dataset.eval_split=0.3", "--second=avg_sum_reward:maximize"],
            "--second with --judge=heldout",
        ),
        (
            ["--judge=heldout", "--dataset.eval_split=0.3", "--prune=median", "--rungs=2", "--confirm=1"],
            "--prune and --confirm with --judge=heldout",
        ),
        (
            ["--judge=heldout", "--dataset.eval_split=0.3", '--space={"horizon": {"choices": [8, 16]}}'],
            "horizon changes the chunks that --judge=heldout measures errors over",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, capsys, more, message):
    space = [] if any("--space" in word for word in more) else [f"--space={SPACE}"]
    assert main(options_for(tmp_path, *space, *more)) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out" / "trials").exists()


def test_a_horizon_may_be_searched_by_rollouts():
    base = load_base(None, [*WITHOUT_ENVIRONMENT, "--env.type=ambient_maze"])
    check_space(base, read_space('{"horizon": {"choices": [64, 128]}}', base.parsed.policy))


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
def test_a_tiny_sweep_through_the_stock_commands(
    tmp_path: Path, write_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    write_dataset(tmp_path / "target", "me/target", [14, 12, 16, 15, 14], env_state=False)
    write_dataset(tmp_path / "sim", "me/sim", [20, 23], seed=2, env_state=False)
    line = options_for(
        tmp_path,
        '--space={"mixing.type": ["ambient"]}',
        *("--steps=4", "--batch_size=8", "--num_workers=0", "--dataset.use_imagenet_stats=false"),
        *("--judge=heldout", "--dataset.eval_split=0.4", "--sampler=grid", "--json"),
    )
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)
    (trial,) = found["trials"]
    assert trial["state"] == "complete"
    assert trial["score"] > 0 and trial["episodes"] == 2
    assert (tmp_path / "out" / "trials" / "0000" / "eval-1" / "run" / "check.html").is_file()
