# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient sweep`: its options, its refusals, and one very small sweep through the stock commands."""

from __future__ import annotations

import json

import pytest

from lerobot_ambient.cli.__main__ import build_parser, main
from lerobot_ambient.cli.sweep import _OPTIONS

SPACE = '--space={"sources.0.sigma_min": [0.05, 0.6], "mixing.type": ["ambient", "cotrain"]}'
POLICY = (
    "--policy.type=ambient_diffusion",
    "--policy.device=cpu",
    "--policy.denoiser=mlp",
    "--policy.mlp_width=32",
    "--policy.mlp_depth=1",
    "--policy.num_train_timesteps=10",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
    "--policy.mixing.type=ambient",
    "--policy.mixing.alpha=0.5",
)


def options_for(tmp_path, *more: str) -> list[str]:
    """Enough for a refusal; no such dataset exists."""
    source = json.dumps([{"repo_id": "me/sim", "root": str(tmp_path / "sim"), "sigma_min": 0.3}])
    data = ["--dataset.repo_id=me/target", f"--dataset.root={tmp_path / 'target'}", f"--policy.sources={source}"]
    return ["sweep", f"--output-dir={tmp_path / 'out'}", *data, *POLICY, *more]


def test_the_defaults_are_those_of_the_experiment(tmp_path):
    from lerobot_ambient.benchmarks.engine.study import STRETCH
    from lerobot_ambient.benchmarks.engine.study_run import FINAL_EVAL_SEED
    from lerobot_ambient.sweep.worker import SweepOptions

    args = build_parser().parse_args(["sweep", SPACE])
    default = SweepOptions(tmp_path)
    assert {name: getattr(args, name) for name in _OPTIONS} == {name: getattr(default, name) for name in _OPTIONS}
    assert args.second is default.second
    # No rollout of a final figure has helped to choose.
    for seed in (args.eval_seed, args.confirm_seed):
        assert seed + STRETCH <= FINAL_EVAL_SEED
    assert args.eval_seed + STRETCH <= args.confirm_seed


def test_lerobots_options_are_not_taken_for_ours():
    args, more = build_parser().parse_known_args(["sweep", SPACE, "--seed=4", "--eval.n_episodes=7", "--st=1"])
    assert more == ["--seed=4", "--eval.n_episodes=7", "--st=1"]
    assert (args.sampler_seed, args.stale_after) == (0, 600)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--env.type=ambient_maze", "--space={}"], "--space names nothing to search"),
        (["--env.type=ambient_maze", "--space=nowhere.yaml"], "nowhere.yaml"),
        ([SPACE], "needs an environment; name it, e.g. --env.type=ambient_maze"),
        ([SPACE, "--env.type=ambient_maze", "--second=speed:minimize"], "offers mean_squared_acceleration, avg_sum"),
        ([SPACE, "--env.type=ambient_maze", "--rungs=3"], "give --prune together with --rungs"),
        ([SPACE, "--env.type=ambient_maze", "--prune=median", "--rungs=1"], "--prune median with 1 rung(s)"),
        ([SPACE, "--env.type=ambient_maze", "--sampler=grid"], "is a range without end of points"),
        ([SPACE, "--env.type=ambient_maze", "--keep=1", "--confirm=2"], "--keep 1 deletes checkpoints"),
        ([SPACE, "--env.type=ambient_maze", "--steps=0"], "--rungs 1 must lie between 1 and the training steps, 0"),
        ([SPACE, "--env.type=ambient_maze", "--stale-after=10"], "--stale-after 10 must exceed 60 seconds"),
        ([SPACE, "--env.type=ambient_maze", "--storage=sqlite://"], "a SQLite URL needs a file"),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path, capsys, more, message):
    assert main(options_for(tmp_path, *more)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("lerobot-ambient: error: ")
    assert message in line
    assert not (tmp_path / "out" / "trials").exists()


def test_a_forbidden_corner_is_named(tmp_path, capsys):
    assert main(options_for(tmp_path, "--env.type=ambient_maze", '--space={"sources.0.sigma_min": [0.1, 2.0]}')) == 2
    error = capsys.readouterr().err
    assert "source 'me/sim': sigma_min = 2.0 is outside [0, 1]" in error
    assert "at this point of --space: {'sources.0.sigma_min': 2.0}" in error


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
def test_a_tiny_sweep_through_the_stock_commands(tmp_path, write_dataset, capsys):
    """Two trials in two segments, then the same command again, which finds everything done."""
    write_dataset(tmp_path / "target", "me/target", [14, 12, 16], env_state=False)
    write_dataset(tmp_path / "sim", "me/sim", [20, 23], seed=2, env_state=False)
    line = options_for(
        tmp_path,
        '--space={"mixing.type": ["ambient", "cotrain"]}',
        *("--steps=20", "--batch_size=8", "--num_workers=0", "--dataset.use_imagenet_stats=false"),
        *("--env.type=ambient_maze", "--env.episode_length=20", "--eval.n_episodes=2", "--eval.use_async_envs=false"),
        *("--sampler=grid", "--prune=median", "--rungs=2", "--second=avg_sum_reward:maximize"),
        *("--keep=1", "--json"),
    )
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)
    assert [trial["state"] for trial in found["trials"]] == ["complete", "complete"]
    assert [trial["params"] for trial in found["trials"]] == [{"mixing.type": "ambient"}, {"mixing.type": "cotrain"}]
    for trial in found["trials"]:
        assert [(one["step"], one["episodes"]) for one in trial["evaluations"]] == [(10, 2), (20, 2)]
        folder = tmp_path / "out" / "trials" / f"{trial['slot']:04d}"
        seeds = json.loads((folder / "eval-2" / "run" / "eval_info.json").read_text())
        assert seeds["overall"]["n_episodes"] == 2
        assert "Resuming data order at epoch" in (folder / "train-2" / "log.txt").read_text()
    assert found["eval_seeds"] == [50_000, 50_001]

    # lerobot-train takes the best configuration as it is.
    from lerobot_ambient.integration.training.configured_mixture import load_train_config

    best = load_train_config(str(tmp_path / "out" / "best.yaml"), [])
    assert best.policy.mixing.alpha == 0.5
    assert best.env.type == "ambient_maze"
    kept = {int(path.parts[-5]) for path in tmp_path.glob("out/trials/*/train-1/run/checkpoints/0*")}
    assert kept == {found["best"], *found["front"]}

    stages = sorted((tmp_path / "out").glob("**/done.json"))
    before = [file.read_bytes() for file in stages]
    assert len(before) == 8
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert [file.read_bytes() for file in stages] == before
