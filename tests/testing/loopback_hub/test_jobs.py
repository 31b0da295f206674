# SPDX-License-Identifier: Apache-2.0
"""A training that LeRobot submits to Hugging Face Jobs: what it sends, and that a container with us can run it."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from .conftest import FILES, SMALL_POLICY

IMAGE = "me/lerobot-ambient:latest"


@pytest.fixture
def submit(hub, client, roots, monkeypatch):
    """submit(source, target's root) runs the documented command against a Hub that has both datasets.

    Returns what would have been sent to run_job, and the configuration that was put on the Hub for the container.
    """
    client(hub)
    LeRobotDataset("me/target", root=roots[0]).push_to_hub()
    LeRobotDataset("me/sim", root=roots[1]).push_to_hub(license="cc-by-4.0")

    def run(source: dict, root: str | None = None) -> tuple[dict, dict]:
        from lerobot.jobs import hf
        from lerobot.scripts import lerobot_train

        words = [
            "--dataset.repo_id=me/target",
            f"--policy.sources={json.dumps([source])}",
            "--policy.repo_id=me/policy",
        ]
        words += [f"--dataset.root={root}"] if root else []
        sent: list[dict] = []
        monkeypatch.setattr(hf, "run_job", lambda **job: sent.append(job) or SimpleNamespace(id="one", url=None))
        job = ["--job.target=a10g-small", f"--job.image={IMAGE}", "--job.timeout=6h", "--job.detach=true"]
        monkeypatch.setattr(sys, "argv", ["lerobot-train", *SMALL_POLICY, *words, *job])
        lerobot_train.main()
        return sent[0], json.loads(hub.files("me/policy")["train_config.json"])

    return run


def test_sources_and_windows_go_along_and_the_container_trains_and_pushes(
    submit, hub, lerobot, tmp_path, preloaded_python
):
    source = {"repo_id": "me/sim", "sigma_min": 0.4}
    job, config = submit(source)
    assert (job["image"], job["flavor"], job["timeout"]) == (IMAGE, "a10g-small", "6h")
    assert job["command"] == ["lerobot-train", "--config_path=me/policy"]
    (declared,) = config["policy"]["sources"]
    assert {key: declared[key] for key in source} == source
    assert config["policy"]["type"] == "ambient_diffusion"

    home = tmp_path / "container"
    home.mkdir()
    train = preloaded_python.with_name("lerobot-train")
    done = lerobot(train, job["command"][1:], hub, home, token=job["secrets"]["HF_TOKEN"])
    assert done.returncode == 0, done.stderr[-3000:]
    files = hub.files("me/policy")
    assert set(files) >= FILES
    assert [record["name"] for record in json.loads(files["config.json"])["mixture_record"]] == ["me/target", "me/sim"]


def test_a_root_is_taken_out_of_the_target_and_left_in_a_source(submit, roots):
    """As the page says; where LeRobot takes out both, the page can be shorter."""
    _, config = submit({"repo_id": "me/sim", "sigma_min": 0.4, "root": str(roots[1])}, root=str(roots[0]))
    assert config["dataset"]["root"] is None
    assert [source["root"] for source in config["policy"]["sources"]] == [str(roots[1])]
