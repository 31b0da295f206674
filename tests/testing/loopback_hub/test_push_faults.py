# SPDX-License-Identifier: Apache-2.0
"""The Hub misbehaves during a push: a message, nothing lost here or there, and the same command again succeeds."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH
from lerobot_ambient.policy.card.hub_card import is_by_method
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.testing.loopback_hub.hub import DROP

from .conftest import FILES

FAILURES = (HfHubHTTPError, httpx.TransportError, RuntimeError)
"""What huggingface_hub raises; RuntimeError where a large file did not arrive, with the reason as its cause."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def said(error: BaseException | None) -> str:
    """An error's message and those of what caused it."""
    text = ""
    while error is not None:
        text += f"{error}\n"
        error = error.__cause__ or error.__context__
    return text


@pytest.fixture
def push(pushed) -> Callable[[], None]:
    """What lerobot-train calls at its end, for the trained checkpoint."""
    from lerobot.configs.train import TrainPipelineConfig
    from lerobot.policies import make_pre_post_processors

    path = pushed.output / "checkpoints/last/pretrained_model"
    policy = AmbientDiffusionPolicy.from_pretrained(path)
    cfg = TrainPipelineConfig.from_pretrained(path)
    processors = make_pre_post_processors(policy.config, pretrained_path=str(path))

    def push(license: str | None = None) -> None:
        policy.config.license = license
        policy.push_model_to_hub(cfg)
        for processor in processors:
            processor.push_to_hub("me/policy")

    return push


# What is asked, the answer, and whether huggingface_hub gives up at once or after five more tries.
PUSH = [
    pytest.param("POST /api/repos/create", 401, False, id="401-create"),
    pytest.param("POST /api/repos/create", 403, False, id="403-create"),
    pytest.param("POST /api/validate-yaml", 500, False, id="500-card"),
    pytest.param("POST /api/models/me/policy/preupload", 404, False, id="404-preupload"),
    pytest.param("POST /api/models/me/policy/preupload", 429, True, id="429-preupload"),
    pytest.param("POST /me/policy.git/info/lfs", 503, True, id="503-large-file"),
    pytest.param("PUT /lfs/", DROP, True, id="dropped-large-file"),
    pytest.param("POST /api/models/me/policy/commit", 500, False, id="500-commit"),
    pytest.param("POST /api/models/me/policy/commit", DROP, False, id="dropped-commit"),
]


@pytest.mark.parametrize(("asked", "status", "retried"), PUSH)
def test_a_failed_push_loses_nothing_and_can_be_repeated(hub, client, pushed, push, asked, status, retried):
    waits = client(hub)
    before = contents(pushed.output)
    hub.fail(asked, status, times=1000)
    with pytest.raises(FAILURES) as caught:
        push()
    if status != DROP:
        assert str(status) in said(caught.value)
        assert hub.url in said(caught.value)
    else:
        assert "Server disconnected" in said(caught.value)
    # huggingface_hub's own patience: five further tries of what may safely be asked again.
    assert len(waits) == (5 if retried else 0)
    assert contents(pushed.output) == before
    # The picture has a commit of its own, before the others.
    assert set(hub.files("me/policy")) <= {"ambient_plan.png"}

    hub.faults.clear()
    push()
    assert set(hub.files("me/policy")) == FILES
    local = before["checkpoints/000002/pretrained_model/model.safetensors"]
    assert hub.files("me/policy")["model.safetensors"] == local


def test_a_push_that_fails_half_way_keeps_what_was_there(hub, client, push):
    """Picture, policy and two processors are a commit each; an unchanged one makes none."""
    client(hub)
    push()
    first = hub.files("me/policy")
    # A LeRobot that writes the card by a function sends it in a commit after the weights.
    commits = 4 if is_by_method() else 5
    assert len([request for request in hub.requests if "/commit/" in request]) == commits
    push()
    assert len([request for request in hub.requests if "/commit/" in request]) == commits
    hub.fail("POST /api/models/me/policy/commit", 500, times=1000)
    with pytest.raises(HfHubHTTPError):
        push(license="mit")
    assert hub.files("me/policy") == first


def test_the_stock_command_repeats_a_push_without_training_again(hub, client, pushed, tmp_path, monkeypatch):
    from lerobot.scripts import lerobot_train as script

    output = tmp_path / "out"
    shutil.copytree(pushed.output, output, symlinks=True)
    words = [f"--config_path={output}/checkpoints/last/pretrained_model/train_config.json", "--resume=true"]
    monkeypatch.setattr(sys, "argv", ["lerobot-train", *words, f"--output_dir={output}"])
    client(hub)
    before = contents(output)
    hub.fail("POST /api/models/me/policy/commit", DROP, times=1000)
    with pytest.raises(FAILURES):
        script.main()
    hub.faults.clear()
    script.main()
    assert set(hub.files("me/policy")) == FILES
    assert contents(output) == before


@pytest.mark.parametrize("status", [429, 500, 503, DROP])
def test_a_short_fault_is_sat_out(hub, client, push, status):
    waits = client(hub)
    hub.fail("PUT /lfs/", status, times=2)
    push()
    assert len(waits) == 2
    assert set(hub.files("me/policy")) == FILES


def test_a_token_that_may_only_read_or_none_is_refused(hub, client, push):
    client(hub, token="hf_reader")
    with pytest.raises(HfHubHTTPError, match="403 Forbidden: You don't have the rights to write here"):
        push()
    client(hub, token="hf_nobody")
    with pytest.raises(HfHubHTTPError, match="401"):
        push()
    assert hub.repos == {}


def test_a_card_with_a_bad_header_is_refused_before_anything_is_uploaded(hub, client, push):
    client(hub)
    with pytest.raises(ValueError, match=r"Invalid metadata in README.md(.|\n)*\"license\" must be one of"):
        push(license="my own")
    assert hub.repos == {}


DATA = [
    pytest.param("POST /api/repos/create", 403, id="403-create"),
    pytest.param("POST /api/datasets/me/annotated/preupload", 401, id="401-preupload"),
    pytest.param("POST /api/datasets/me/annotated/preupload", 404, id="404-preupload"),
    pytest.param("POST /datasets/me/annotated.git/info/lfs", 429, id="429-large-file"),
    pytest.param("PUT /lfs/", 503, id="503-large-file"),
    pytest.param("PUT /lfs/", DROP, id="dropped-large-file"),
    pytest.param("POST /api/datasets/me/annotated/commit", DROP, id="dropped-commit"),
    pytest.param("POST /api/datasets/me/annotated/tag", 500, id="500-tag"),
]


@pytest.mark.parametrize(("asked", "status"), DATA)
def test_a_failed_push_of_a_data_set_can_be_repeated(hub, client, source_with_windows, asked, status):
    client(hub)
    before = contents(source_with_windows)
    dataset = LeRobotDataset("me/annotated", root=source_with_windows)
    hub.fail(asked, status, times=1000)
    with pytest.raises(FAILURES) as caught:
        dataset.push_to_hub()
    assert ("Server disconnected" if status == DROP else str(status)) in said(caught.value)
    assert contents(source_with_windows) == before
    there = hub.files("me/annotated", "dataset")
    # One commit holds all of it; only the card and the version's tag come after.
    assert there == {} or {path for path in before if not path.startswith("images/")} <= set(there)

    hub.faults.clear()
    dataset.push_to_hub()
    there = hub.files("me/annotated", "dataset", "v3.0")
    assert there[WINDOWS_PATH] == before[WINDOWS_PATH]
    assert {path: there[path] for path in before} == before
