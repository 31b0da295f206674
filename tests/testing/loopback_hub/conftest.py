# SPDX-License-Identifier: Apache-2.0
"""A Hub on the loopback interface, and clients that talk to it, in this process and in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH
from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub

TOKENS = {"hf_writer": "write", "hf_reader": "read"}
FILES = {
    "README.md",
    "ambient_plan.png",
    "config.json",
    "model.safetensors",
    "policy_postprocessor.json",
    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
    "policy_preprocessor.json",
    "policy_preprocessor_step_3_normalizer_processor.safetensors",
    "train_config.json",
}
"""A pushed policy, without the checkpoints that save_checkpoint_to_hub adds."""

SMALL_POLICY = (
    "--policy.type=ambient_diffusion",
    "--policy.device=cpu",
    "--policy.denoiser=mlp",
    "--policy.mlp_width=32",
    "--policy.mlp_depth=1",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
    "--policy.ema_decay=0.9",
    "--num_workers=0",
    "--env_eval_freq=0",
    "--dataset.use_imagenet_stats=false",
    "--batch_size=4",
    "--steps=2",
    "--log_freq=0",
)


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Path]) -> tuple[Path, Path]:
    """me/target: 3 episodes (42 frames), me/sim: 2 (43 frames) with a licence on its card."""
    folder = tmp_path_factory.mktemp("data")
    target = write_dataset(folder / "target", "me/target", [14, 12, 16], seed=1)
    sim = write_dataset(folder / "sim", "me/sim", [20, 23], seed=2)
    (sim / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n\n# Sim\n")
    return target, sim


@pytest.fixture(scope="session")
def train_words(roots: tuple[Path, Path]) -> list[str]:
    """A small training on target and source; says neither where to write nor whether to push."""
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4}
    return [
        *SMALL_POLICY,
        "--dataset.repo_id=me/target",
        f"--dataset.root={target}",
        f"--policy.sources={json.dumps([source])}",
    ]


@pytest.fixture(scope="session")
def lerobot() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of LeRobot's commands, by name or path, in a process of its own: (command, words, hub, home, token)."""

    def run(
        command: str | Path, words: Sequence[str], hub: LoopbackHub, home: Path, token: str | None = "hf_writer"
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        environment.pop("HF_TOKEN", None)
        if token is not None:
            environment["HF_TOKEN"] = token
        line = [str(Path(sys.executable).parent / command), *words]
        return subprocess.run(line, env=environment, cwd=home, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="session")
def pushed(
    tmp_path_factory: pytest.TempPathFactory,
    lerobot: Callable[..., subprocess.CompletedProcess[str]],
    train_words: list[str],
    preloaded_python: Path,
) -> Iterator[SimpleNamespace]:
    """The stock command with push_to_hub, once: `hub` after it, `output` its folder, `log` what it printed."""
    home = tmp_path_factory.mktemp("home")
    output = home / "out"
    words = [*train_words, f"--output_dir={output}", "--policy.repo_id=me/policy", "--policy.push_to_hub=true"]
    with LoopbackHub(tokens=TOKENS) as hub:
        train = preloaded_python.with_name("lerobot-train")
        done = lerobot(train, [*words, "--policy.license=mit", "--save_checkpoint_to_hub=true"], hub, home)
        assert done.returncode == 0, done.stderr[-3000:]
        yield SimpleNamespace(hub=hub, output=output, log=done.stderr + done.stdout, home=home)


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """An empty Hub."""
    with LoopbackHub(tokens=TOKENS) as server:
        yield server


@pytest.fixture
def source_with_windows(tmp_path: Path, write_dataset: Callable[..., Path]) -> Path:
    """me/annotated: two episodes with a windows file in the dataset's own folder."""
    import numpy as np

    from lerobot_ambient.data.normalization.affine import ActionNormalization
    from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows

    root = write_dataset(tmp_path / "annotated", "me/annotated", [9, 11], seed=3)
    episode = np.repeat([0, 1], [9, 11])
    frame = np.concatenate([np.arange(9), np.arange(11)])
    level = np.linspace(0.2, 0.8, 20, dtype=np.float32)
    normalization = ActionNormalization("MIN_MAX", False, (0.0, 0.0), (1.0, 1.0), 8)
    table = WindowTable("me/annotated", episode, frame, level, np.zeros_like(level), normalization, "manual")
    write_windows(table, root / WINDOWS_PATH)
    return root
