# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import json
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import lerobot_ambient  # noqa: F401

from ..policy.flow import conftest as tiny

tiny_folder, tiny_config = tiny.tiny_folder, tiny.tiny_config

SMALL_POLICY = (
    "--policy.type=ambient_diffusion",
    "--policy.push_to_hub=false",
    "--policy.device=cpu",
    "--policy.denoiser=mlp",
    "--policy.mlp_width=32",
    "--policy.mlp_depth=1",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
    "--num_workers=0",
    "--env_eval_freq=0",
    "--dataset.use_imagenet_stats=false",
)


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Path]) -> tuple[Path, Path]:
    """me/target: 3 episodes (42 frames), me/sim: 2 (43 frames)."""
    folder = tmp_path_factory.mktemp("train")
    return (
        write_dataset(folder / "target", "me/target", [14, 12, 16], seed=1),
        write_dataset(folder / "sim", "me/sim", [20, 23], seed=2),
    )


@pytest.fixture
def configured(roots: tuple[Path, Path]) -> Callable[..., Any]:
    """configured(*words): a training configuration of me/target and of me/sim above sigma 0.4."""
    from lerobot_ambient.integration.training.configured_mixture import load_train_config

    def make(*words: str) -> Any:
        target, sim = roots
        source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4}
        options = [
            "--dataset.repo_id=me/target",
            f"--dataset.root={target}",
            f"--policy.sources={json.dumps([source])}",
        ]
        return load_train_config(None, [*options, *SMALL_POLICY, *words])

    return make


@pytest.fixture
def lerobot_train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """Stock `lerobot-train` in this process, plugins discovered as usual."""

    def run(arguments: Sequence[str]) -> None:
        from lerobot.scripts import lerobot_train as script

        monkeypatch.setattr(sys, "argv", ["lerobot-train", *arguments])
        script.main()

    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Returns command(script, *options): LeRobot's main in this process, as (exit code, what it left on stderr)."""

    def run(script: str, *options: str) -> tuple[int, str]:
        from lerobot_ambient.integration.errors import error_report

        module = script if "." in script else f"lerobot.scripts.{script}"
        monkeypatch.setattr(sys, "argv", [f"lerobot-{script.rpartition('_')[2]}", *options])
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        error_report.install_in_command()
        capsys.readouterr()
        code = 0
        try:
            if module == script:
                runpy.run_module(module, run_name="__main__")
            else:
                importlib.import_module(module).main()
        except SystemExit as left:
            code = int(left.code or 0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def stock_checkpoint(tmp_path: Path, tiny_config: Callable[..., Any]) -> Callable[..., Path]:
    """stock_checkpoint(family, **options): a tiny model of LeRobot's own type with its processors, as LeRobot saves it.

    It saw the cameras `front` and `wrist` of another robot, whose statistics are of unit variance.
    """

    def save(family: str, **options: Any) -> Path:
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        from ..policy.flow.tiny import statistics, stir

        config = tiny_config(family, **options)
        policy = get_policy_class(family)(config)
        stir(policy)
        folder = tmp_path / f"stock_{family}"
        policy.save_pretrained(folder)
        for processor in make_pre_post_processors(config, dataset_stats=statistics(config)):
            processor.save_pretrained(folder)
        return folder

    return save
