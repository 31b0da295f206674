# SPDX-License-Identifier: Apache-2.0
"""The Hub misbehaves during a pull, and datasets with windows that come from it."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from huggingface_hub import hf_hub_download
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.reading.open_dataset import open_dataset
from lerobot_ambient.data.windows.source_windows import windows_path
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, read_windows
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.testing.loopback_hub.hub import DROP, LoopbackHub
from lerobot_ambient.testing.loopback_hub.store import Repo

WEIGHTS = "(GET|HEAD) /me/policy/resolve/main/model.safetensors"
REASONS = {
    401: "the Hub answered 401",
    403: "the Hub answered 403",
    404: "the Hub answered 404",
    429: "the Hub answered 429",
    500: "the Hub answered 500",
    503: "the Hub answered 503",
    DROP: "the Hub could not be reached",
}
FAULTS = list(REASONS)


@pytest.fixture
def healed(pushed):
    """The Hub with the pushed policy; its faults are gone after the test."""
    yield pushed.hub
    pushed.hub.faults.clear()


@pytest.mark.parametrize("status", FAULTS)
def test_a_failed_pull_of_a_policy_says_why_and_can_be_repeated(healed, client, status):
    client(healed, token="hf_reader")
    healed.fail(WEIGHTS, status, times=1000)
    with pytest.raises((OSError, httpx.TransportError)) as caught:
        AmbientDiffusionPolicy.from_pretrained("me/policy")
    (note,) = caught.value.__notes__
    assert note.startswith("while loading the policy 'me/policy'")
    assert REASONS[status] in note
    healed.faults.clear()
    assert AmbientDiffusionPolicy.from_pretrained("me/policy").config.repo_id == "me/policy"


def test_a_download_that_breaks_off_goes_on_where_it_stopped(healed, client):
    client(healed)
    whole = healed.files("me/policy")["model.safetensors"]
    assert len(whole) > 10000
    healed.fail("GET /me/policy/resolve/[^/]+/model.safetensors", DROP, times=2, after=5000)
    before = len(healed.requests)
    file = hf_hub_download("me/policy", "model.safetensors")
    asked = [r for r in healed.requests[before:] if r.startswith("GET") and "model.safetensors" in r]
    assert len(asked) == 3
    assert Path(file).read_bytes() == whole


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_was_pulled_once_acts_while_the_hub_is_down(healed, client, status):
    client(healed)
    AmbientDiffusionPolicy.from_pretrained("me/policy")
    healed.fail(".", status, times=1000)
    assert AmbientDiffusionPolicy.from_pretrained("me/policy").config.repo_id == "me/policy"
    with LoopbackHub() as gone:
        pass
    client(gone)
    assert AmbientDiffusionPolicy.from_pretrained("me/policy").config.repo_id == "me/policy"


def test_a_policy_that_was_pushed_without_its_processors_does_not_act(hub, client, pushed):
    """What a push leaves that broke off after the policy's commit: refused, not run on raw numbers."""
    from lerobot.policies import make_pre_post_processors
    from lerobot.processor.pipeline import ProcessorMigrationError

    files = {p: data for p, data in pushed.hub.files("me/policy").items() if "processor" not in p}
    hub.repos["model", "me/policy"] = repo = Repo()
    repo.commit("main", files)
    client(hub)
    config = AmbientDiffusionPolicy.from_pretrained("me/policy").config
    with pytest.raises(ProcessorMigrationError, match=r"policy_preprocessor\.json"):
        make_pre_post_processors(config, pretrained_path="me/policy")


@pytest.fixture
def annotated(hub, client, source_with_windows):
    """The Hub with me/annotated, as LeRobot's push leaves it (which the first test below does)."""
    client(hub)
    files = {str(p.relative_to(source_with_windows)): p.read_bytes() for p in source_with_windows.rglob("*.*")}
    repo = Repo()
    repo.tags["v3.0"] = repo.commit("main", {**files, "README.md": b"---\nlicense: apache-2.0\n---\n"})
    hub.repos["dataset", "me/annotated"] = repo
    return hub


def test_windows_travel_with_their_data_set(hub, client, source_with_windows):
    client(hub)
    LeRobotDataset("me/annotated", root=source_with_windows).push_to_hub()
    client(hub, token="hf_reader", cache="elsewhere")
    config = Source("me/annotated", windows=WINDOWS_PATH)
    source = open_dataset(config, "me/annotated")
    assert len(source) == 20
    path = windows_path(source)
    assert source_with_windows not in path.parents
    pulled, mine = read_windows(path), read_windows(source_with_windows / WINDOWS_PATH)
    assert np.array_equal(pulled.sigma_min, mine.sigma_min)


def test_a_windows_file_made_later_arrives_with_the_next_push(annotated, client, source_with_windows):
    """LeRobot pulls the tag v3.0, not main; its push moves the tag, an upload of one file does not."""
    from huggingface_hub import HfApi

    added = source_with_windows / "meta/second_windows.parquet"
    added.write_bytes((source_with_windows / WINDOWS_PATH).read_bytes())
    config = Source("me/annotated", windows="meta/second_windows.parquet")
    where = {"path_in_repo": config.windows, "repo_id": "me/annotated", "repo_type": "dataset"}
    HfApi().upload_file(path_or_fileobj=added, **where)
    client(annotated, cache="second")
    with pytest.raises(ValueError, match="its windows file is neither"):
        windows_path(open_dataset(config, "me/annotated"))
    LeRobotDataset("me/annotated", root=source_with_windows).push_to_hub()
    client(annotated, cache="third")
    assert windows_path(open_dataset(config, "me/annotated")).is_file()


@pytest.mark.parametrize("status", FAULTS)
def test_a_failed_pull_of_a_data_set_says_why_and_can_be_repeated(annotated, client, status):
    client(annotated, cache="elsewhere")
    annotated.fail("/annotated/", status, times=1000)
    with pytest.raises(ValueError, match=REASONS[status]):
        open_dataset(Source("me/annotated"), "me/annotated")
    annotated.faults.clear()
    assert len(open_dataset(Source("me/annotated"), "me/annotated")) == 20


@pytest.mark.parametrize("status", [403, 503, DROP])
def test_files_that_do_not_arrive_are_listed(annotated, client, status, caplog):
    client(annotated, cache="elsewhere")
    annotated.fail("/annotated/resolve/[^/]+/data/", status, times=1000)
    with pytest.raises(ValueError, match="none of the selected episodes can be read") as caught:
        open_dataset(Source("me/annotated"), "me/annotated")
    assert "is missing" in str(caught.value)
    assert "could not be completed from the Hub" in caplog.text
    annotated.faults.clear()
    assert len(open_dataset(Source("me/annotated"), "me/annotated")) == 20


def test_an_unknown_data_set_is_named(hub, client):
    client(hub)
    with pytest.raises(ValueError, match=r"dataset 'me/nobody' was not found"):
        open_dataset(Source("me/nobody"), "me/nobody")


def test_the_licence_comes_from_the_hub(annotated, client):
    from lerobot_ambient.data.export.record import _license_on_the_hub

    client(annotated, cache="elsewhere")
    source = open_dataset(Source("me/annotated"), "me/annotated")
    assert _license_on_the_hub(source) == "apache-2.0"
    annotated.fail("README.md", 403, times=1000)
    client(annotated, cache="third")
    assert _license_on_the_hub(source) is None
