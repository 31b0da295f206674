# SPDX-License-Identifier: Apache-2.0
"""Windows in a configuration's text: the values are there, and every other character stays."""

import pytest
import yaml

from lerobot_ambient.data.suggest.config_windows import FoundWindow, merge_windows

BLOCK = """\
# A person's own notes.
dataset: {repo_id: me/t}   # trusted
policy:
  type: ambient_diffusion
  sources:
    # the simulation
    - repo_id: me/sim  # 5000 episodes
      root: data/sim
      # sigma_min: 0.3  # choose: see docs/how-to/choose-a-window.md
      rename:
        actions: action  # what others call action
    - {repo_id: me/twin, weight: 2.0}
steps: 7
"""


def found(*options: dict) -> list[FoundWindow]:
    return [FoundWindow(one, "classifier, between 0.1 and 0.4") for one in options]


def sources(text: str) -> list[dict]:
    return yaml.safe_load(text)["policy"]["sources"]


def test_a_new_window_stands_below_name_and_folder_and_all_else_stays():
    text = merge_windows(BLOCK, found({"sigma_min": 0.25, "sigma_max": 0.1}, {"windows": "a b: c.parquet"}))
    lines = BLOCK.splitlines()
    lines[8] = "      sigma_min: 0.25  # annotate --method=classifier, between 0.1 and 0.4\n      sigma_max: 0.1"
    lines[11] = "    - {repo_id: me/twin, weight: 2.0, windows: 'a b: c.parquet'}"
    assert text == "\n".join(lines) + "\n"
    assert sources(text)[1]["windows"] == "a b: c.parquet"


def test_a_second_time_replaces_the_first():
    once = merge_windows(BLOCK, found({"sigma_min": 0.25, "sigma_max": 0.1}, {"sigma_min": 1e-05}))
    assert merge_windows(once, found({"sigma_min": 0.25, "sigma_max": 0.1}, {"sigma_min": 1e-05})) == once
    twice = merge_windows(once, [FoundWindow({"sigma_min": 0.5}, "spectral"), FoundWindow({}, "")])
    sim, twin = sources(twice)
    assert (sim["sigma_min"], sim["sigma_max"], twin["sigma_min"]) == (0.5, None, 1e-05)
    assert "sigma_min: 0.5  # annotate --method=spectral\n" in twice
    assert "between" not in twice
    to_file = merge_windows(twice, found({"windows": "w.parquet"}, {}))
    assert sources(to_file)[0] == {**sim, "sigma_min": None, "windows": "w.parquet"}


@pytest.mark.parametrize(
    "text",
    [
        "policy:\n  sources:\n  - repo_id: me/sim\n",
        "policy:\n  sources:\n  - repo_id: me/sim",
        "policy:\n  sources:\n  - rename: {a: b}\n    repo_id: me/sim\nsteps: 3\n",
        "policy:\n  sources:\n  - rename:\n      a: b\n    repo_id: me/sim\n    episodes:\n    - 1\n",
        "policy:\n  sources:\n    -   repo_id: 'me/sim'   # a comment\n\n\nsteps: 3\n",
        "policy: {sources: [{repo_id: me/sim}]}\n",
        'policy: {"sources": [{"repo_id": "me/sim", "rename": {"a": "b"}}]}\n',
        "policy:\n  sources:\n  - {repo_id: me/sim,\n     rename: {a: b}}  # over two lines\n",
        "policy:\n  sources:\n  - sigma_min: 0.9 # by hand\n    repo_id: me/sim\n",
        "policy:\n  sources:\n  - {repo_id: me/sim, sigma_min: 0.9, windows: null}\n",
        "base: &base\n  repo_id: me/sim\n  weight: 2.0\npolicy:\n  sources:\n  - <<: *base\n    root: here\n",
        "policy:\n  sources:\n  - repo_id: >-\n      me/sim\n    root: x\n",
        "policy:\r\n  sources:\r\n  - repo_id: me/sim\r\n",
        "policy:\n  sources:\n  - repo_id: me/übung  # é\n",
    ],
)
def test_every_way_to_write_a_source(text):
    before = yaml.safe_load(text)
    before["policy"]["sources"][0].update({"sigma_min": 0.25})
    assert yaml.safe_load(merge_windows(text, found({"sigma_min": 0.25}))) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: {repo_id: me/t}\n", "has no `policy: sources:`, 'policy' is missing"),
        ("policy: {type: x}\n", "'sources' is missing"),
        ("", "'policy' is missing"),
        ("policy: {sources: none}\n", "is not a list of sources"),
        ("policy: {sources: [{repo_id: a}, {repo_id: b}]}\n", "lists 2 sources, 1 were annotated"),
        ("policy: {sources: []}\n", "lists 0 sources, 1 were annotated"),
    ],
)
def test_what_has_no_place_for_a_window_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        merge_windows(text, found({"sigma_min": 0.25}))


def test_sources_that_are_one_by_an_alias_are_refused():
    with pytest.raises(ValueError, match="one by a YAML alias"):
        merge_windows("policy: {sources: [&a {repo_id: a}, *a]}\n", found({"sigma_min": 0.2}, {"sigma_min": 0.3}))
