# SPDX-License-Identifier: Apache-2.0
"""The Space in spaces/windows: what it answers is what the library says of the same two datasets."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from html import escape
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

import lerobot_ambient as la
from lerobot_ambient.benchmarks.tasks.maze.data import REPO_IDS
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.so101.data import make_so101_data

FOLDER = Path(__file__).resolve().parents[1] / "spaces" / "windows"
WHY = "THE SPACE IS NOT TRIED: gradio is not installed; install the extra space"


@pytest.fixture(scope="module")
def app():
    """The module of the Space, as it is imported outside the Hub."""
    pytest.importorskip("gradio", reason=WHY)
    spec = importlib.util.spec_from_file_location("space_windows", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    # Gradio looks up the types that the module's functions name.
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPACE_ID", raising=False)
        spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def ask(app, tmp_path_factory):
    """ask(target, source, ...): what the page shows at last, as (HTML, text of the file, the file's path or None)."""
    from gradio_client import Client

    page = app.build()
    _, url, _ = page.queue().launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, css=app.CSS)
    client = Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))

    def run(*inputs):
        given = [*inputs, *("", "", "", 16, False, 100)[len(inputs) - 2 :]]
        result, text, file = client.submit(*given, api_name="/compare").result(timeout=300)
        return result, text["value"] if text.get("visible") else None, file["value"] if file.get("visible") else None

    yield run
    page.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folders of six careful and ten clumsy recordings."""
    made = make_so101_data(tmp_path_factory.mktemp("so101"), target_episodes=6, source_episodes=10, progress=False)
    return made["target"]["root"], made["source"]["root"]


@pytest.fixture(scope="module")
def mix(app, data):
    """The same two, opened by the library."""
    target, source = (la.Source(f"local/{Path(root).name}", root=root) for root in data)
    return la.Mixture.open(target, [source], mixing=la.Ambient(alpha=0.5), horizon=16, **app.POLICY)


def test_the_window_and_the_file_are_those_of_the_library(ask, data, mix, tmp_path):
    found = la.annotate(mix, method="spectral", progress=False)
    result, text, file = ask(*data)
    assert f"The window of local/source is σ in {found.window}, by spectra." in result
    assert escape(repr(found)) in result
    assert result.count("data:image/png;base64,") == 3
    written = mix.with_windows(found).write_config(tmp_path / "mine.yaml")
    assert Path(file).read_bytes() == written.read_bytes()
    assert f"{text}\n" == written.read_text()
    assert Path(file).name == "mine.yaml"
    again = la.Mixture.from_config(file)
    assert again.sources[0].sigma_min == pytest.approx(found.window.sigma_min, abs=1e-4)


def test_the_held_out_map_decides_where_it_is_asked_for(ask, data, mix, tmp_path):
    found = la.annotate(
        mix, method="heldout", shares=(0.5,), folds=3, steps=100, work_dir=tmp_path / "work", progress=False
    )
    result, text, _ = ask(*data, "", "", "", 16, True, 100)
    assert escape(repr(found)) in result
    windowed = mix if found.window is None else mix.with_windows(found)
    assert f"{text}\n" == windowed.write_config(tmp_path / "mine.yaml").read_text()
    said = "No window of local/source is recommended" if found.window is None else f"σ in {found.window}, by the held-"
    assert said in result


def test_episodes_and_options_of_the_source_reach_the_library(ask, data):
    _, text, _ = ask(*data, "0-3, 5", "2-9", "normalization: own")
    read = yaml.safe_load(text)
    assert read["dataset"]["episodes"] == [0, 1, 2, 3, 5]
    (source,) = read["policy"]["sources"]
    assert source["episodes"] == list(range(2, 10))
    assert source["normalization"] == "own"


def test_a_source_that_does_not_fit_is_answered_with_the_line_to_write(ask, data, mix, tmp_path):
    features = {
        key: {"dtype": "float32", "shape": (2,), "names": ["x", "y"]} for key in ("observation.state", "action")
    }
    episode = {key: np.zeros((20, 2), dtype=np.float32) for key in features}
    write_low_dim_dataset(tmp_path / "maze", REPO_IDS["source"], 30, features, [episode], "go")
    other = la.Source("local/maze", root=str(tmp_path / "maze"))
    with pytest.raises(ValueError, match="does not fit the target") as refused:
        la.Mixture.open(mix.target, [other], horizon=16, n_action_steps=8)
    result, text, file = ask(data[0], str(tmp_path / "maze"))
    assert "This does not work yet." in result
    assert escape(str(refused.value)) in result
    assert "declare each, e.g. dimensions:" in result
    assert (text, file) == (None, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("", "me/source"), "Name the target: a dataset on the Hub, me/recordings, or a folder of this machine."),
        (("me/nothing_there", "me/source"), "dataset 'me/nothing_there' was not found in LeRobot's cache and the Hub"),
        (("/nowhere/at/all", "me/source"), "nor the folder of a LeRobotDataset: there is no /nowhere/at/all/meta"),
        (("DATA", "DATA", "0-3, x"), "episodes are numbers and ranges of them, such as 0-9, 12; got '0-3, x'."),
        (("DATA", "DATA", "4-2"), "got '4-2'."),
        (("DATA", "DATA", "5-7"), "has 6 episodes (0 to 5), not [6, 7]"),
        (("DATA", "DATA", "", "", "renam: {a: b}"), "renam is no option of a source; did you mean rename?"),
        (("DATA", "DATA", "", "", "root: /etc"), "root does not go among the options"),
        (("DATA", "DATA", "", "", "[1"), "the options of the source are no YAML"),
        (("DATA", "DATA", "", "", "7"), "are a mapping, such as rename: {actions: action}; got 7."),
        (("DATA", "DATA", "", "", "normalization: none"), "the options of the source: "),
        (("DATA", "DATA", "0"), "are too few to compare with anything"),
    ],
)
def test_what_a_user_can_fix_is_said_without_a_traceback(ask, data, typed, said):
    places = [root if name == "DATA" else name for root, name in zip(data, typed[:2], strict=True)]
    result, text, file = ask(*places, *typed[2:])
    assert "This does not work yet." in result
    assert escape(said) in result
    assert "Traceback" not in result
    assert (text, file) == (None, None)


def test_on_the_hub_no_folder_of_the_machine_is_read(app, data, monkeypatch):
    monkeypatch.setattr(app, "ON_THE_HUB", True)
    with pytest.raises(ValueError, match=r"is no name of a dataset on the Hub, such as me/recordings"):
        app.source_of(data[0], "", {}, "target")
    monkeypatch.chdir(Path(data[0]).parents[1])
    here = f"{Path(data[0]).parent.name}/target"
    assert Path(here).is_dir()
    assert app.source_of(here, "", {}, "target") == la.Source(here, stream=True), "the name is the Hub's"


def test_nothing_is_told_to_anybody_and_the_page_needs_no_other_host(app):
    page = app.build()
    assert page.analytics_enabled is False
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        html = httpx.get(url).text
    finally:
        page.close()
    loaded = re.findall(r'<(?:script|link)[^>]*(?:src|href)="(https?://[^"]+)"', html)
    assert [one for one in loaded if not one.startswith(url)] == []


def test_the_folder_is_a_space(checkout):
    """The header that the Hub reads, in the version that is pinned, and requirements that there are."""
    _, header, _ = (FOLDER / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(header)
    pins = dict(line.split("==") for line in (checkout / "constraints.txt").read_text().splitlines() if "==" in line)
    assert (told["sdk"], told["sdk_version"]) == ("gradio", pins["gradio"])
    assert (FOLDER / told["app_file"]).is_file()
    assert len(told["short_description"]) <= 60
    assert told["license"] == "apache-2.0"
    assert told["python_version"] == "3.12"
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    (requirement,) = [line for line in lines if not line.startswith("#")]
    name, extras = re.fullmatch(r"(\w+)\[([\w,]+)\]", requirement).groups()
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert name == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
