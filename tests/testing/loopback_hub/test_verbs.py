# SPDX-License-Identifier: Apache-2.0
"""The verbs `card` and `loopback-hub`."""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
import time

import httpx
import pytest

from lerobot_ambient.cli.__main__ import main


@pytest.fixture
def checkpoint(pushed, tmp_path):
    """A copy of the trained checkpoint, which has no card yet."""
    return shutil.copytree(pushed.output / "checkpoints/000002/pretrained_model", tmp_path / "pretrained_model")


@pytest.fixture
def eval_info(tmp_path):
    file = tmp_path / "eval_info.json"
    metrics = {"successes": [True, True, False, True], "sum_rewards": [0.0, 0.0, 0.0, 0.0]}
    file.write_text(json.dumps({"per_task": [{"metrics": metrics}]}))
    return file


def test_a_card_is_written_and_pushed_with_its_checkpoint(hub, client, checkpoint, eval_info, capsys):
    client(hub)
    words = [f"--results=ambient_maze={eval_info}", "--repo-id=me/again", "--license=mit"]
    assert main(["card", str(checkpoint), *words, "--push", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["url"] == f"{hub.url}/me/again"
    there = hub.files("me/again")
    assert set(there) == {path.name for path in checkpoint.iterdir()}
    assert b"| ambient_maze | 4 | 3 | 75.0 % |" in there["README.md"]
    assert len([request for request in hub.requests if "/commit/" in request]) == 1


def test_a_failed_push_is_one_line_and_can_be_repeated(hub, client, checkpoint, capsys):
    client(hub)
    hub.fail("POST /api/models/me/policy/commit", 503, times=1)
    assert main(["card", str(checkpoint), "--push"]) == 2
    said = capsys.readouterr().err
    assert "the push to me/policy did not finish" in said
    assert "503" in said
    assert "repeat the same command" in said
    assert main(["card", str(checkpoint), "--push"]) == 0
    assert "README.md" in hub.files("me/policy")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "is no checkpoint: it has no config.json"),
        (["--results=eval_info.json"], "write what was evaluated too"),
    ],
)
def test_what_cannot_work_is_refused(checkpoint, tmp_path, capsys, words, message):
    assert main(["card", str(checkpoint if words else tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_loopback_hub_serves_until_it_is_told_to_stop(monkeypatch, capsys):
    handlers, codes, said = {}, [], ""
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.update({number: handler}))
    serving = threading.Thread(target=lambda: codes.append(main(["loopback-hub", "--port=0"])), daemon=True)
    serving.start()
    limit = time.monotonic() + 20
    while "\n" not in said and time.monotonic() < limit:
        time.sleep(0.02)
        said += capsys.readouterr().out
    url = re.search(r"HF_ENDPOINT=(http://127\.0\.0\.1:\d+)", said)[1]
    token = re.search(r"HF_TOKEN=(\w+)", said)[1]
    login = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{url}/api/repos/create", json={"name": "x"}, headers=login).json()["url"] == f"{url}/me/x"
    assert httpx.get(f"{url}/api/models/me/x").json()["id"] == "me/x"
    assert httpx.get(f"{url}/api/models/me/y").status_code == 404
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    serving.join(timeout=20)
    assert codes == [0]
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/api/models/me/x")
