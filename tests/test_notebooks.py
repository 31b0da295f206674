# SPDX-License-Identifier: Apache-2.0
"""The page "From Python", run block by block in one namespace, and the notebooks, each in a kernel of its own."""

from __future__ import annotations

import ast
import json
import logging
import re
import tomllib
from pathlib import Path

import pytest

import lerobot_ambient as la

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to run in; the notebooks silence the log of their own process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    before = logging.root.manager.disable
    yield tmp_path
    logging.disable(before)


def run_cells(cells: list[str]) -> dict:
    """Run the cells one after the other; the value of the last line of each is shown, as a notebook does."""
    names: dict = {}
    for number, cell in enumerate(cells):
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"<cell {number}>", "exec"), names)  # noqa: S102
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)  # noqa: S307
            assert shown is None or repr(shown)
    return names


def test_the_page_from_python_runs(place, write_dataset):
    write_dataset(place / "data" / "target", "me/target", [24] * 8, seed=1, env_state=False)
    write_dataset(place / "data" / "sim", "me/sim", [24] * 10, seed=2, env_state=False, spread=3.0)
    blocks = FENCE.findall((ROOT / "docs" / "how-to" / "from-python.md").read_text(encoding="utf-8"))
    assert len([line for line in blocks[0].splitlines() if line]) <= 12
    names = run_cells(blocks)
    assert names["found"].window == la.Window(0.9932)
    assert names["batch"]["action"].shape == (16, 8, 2)
    assert names["heat_map"].axes
    assert (names["policy"] / "model.safetensors").is_file()


@pytest.fixture
def execute(place, preloaded_python, monkeypatch):
    """execute(name, facts): run a notebook in a kernel of its own; its outputs, and what `facts` is afterwards.

    A real kernel: magics, and what a reader sees of each value. Like other programs it is forked from one that has
    LeRobot loaded.
    """
    nbclient = pytest.importorskip(
        "nbclient", reason="THE NOTEBOOKS ARE NOT RUN: nbclient is not installed; install the extra dev"
    )
    pytest.importorskip("ipykernel", reason="THE NOTEBOOKS ARE NOT RUN: no ipykernel; install the extra dev")
    spec = place / "jupyter" / "kernels" / "forked"
    spec.mkdir(parents=True)
    # Its parent is not the process that asked for it, whose end the kernel would otherwise take for its own.
    started = [str(preloaded_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv = [*started, "--IPKernelApp.parent_handle=0"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "forked", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(place / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(place / "ipython"))

    def run(name: str, facts: str) -> tuple[list, dict]:
        import nbformat

        notebook = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", 4)
        nbformat.validate(notebook)
        notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({facts}))"))
        folder = {"metadata": {"path": str(place)}}
        nbclient.NotebookClient(notebook, timeout=500, kernel_name="forked", resources=folder).execute()
        *shown, asked = [cell for cell in notebook.cells if cell.cell_type == "code"]
        return [output for cell in shown for output in cell.outputs], json.loads(asked.outputs[-1].text)

    return run


def kinds(outputs: list, kind: str) -> list[str]:
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def test_the_tour_of_the_maze_runs(execute):
    pytest.importorskip("pydrake")
    pytest.importorskip("ompl")
    facts = """{
        "window": [found.window.sigma_min, found.window.sigma_max],
        "shares": plan.shares_by_source()[1].tolist(), "drawn": int((group > 0).sum()),
        "trained": (trained / "model.safetensors").is_file(),
    }"""
    outputs, told = execute("maze-tour", facts)
    assert 0.0 < told["window"][0] < 1.0 and told["window"][1] == 0.0
    assert told["shares"][:69] == [0.0] * 69 and told["shares"][71:] == [0.5] * 29, "the picture is of this plan"
    assert 0 < told["drawn"] < 64
    assert told["trained"]
    assert len(kinds(outputs, "image/png")) == 4
    assert sum("<svg" in one for one in kinds(outputs, "text/html")) == 1
    assert not [output for output in outputs if "error:" in str(output.get("text"))]


SO101 = """{
    "window": [windowed.sources[0].sigma_min, windowed.sources[0].sigma_max],
    "found": None if by_errors.window is None else [by_errors.window.sigma_min, by_errors.window.sigma_max],
    "written": la.Mixture.from_config("outputs/mine.yaml").sources == windowed.sources,
    "held_out": la.check("outputs/train/alone", samples=4, progress=False).judged.numbers,
}"""


def test_the_notebook_of_two_recordings_runs(execute, monkeypatch):
    monkeypatch.delenv("LEROBOT_AMBIENT_DATA", raising=False)
    outputs, told = execute("so101", SO101)
    assert told["written"]
    assert told["held_out"] == [12, 13, 14, 15]
    if told["found"] is not None:
        assert told["window"][0] == pytest.approx(told["found"][0], abs=0.01)
    # A tremor that noise hides: it is neither harmless nor worthless.
    assert 0.2 < told["window"][0] < 1.0
    assert len(kinds(outputs, "image/png")) == 3
    assert "cannot be distinguished" in repr(outputs) or "worse than the best" in repr(outputs)


def test_the_notebook_of_two_recordings_runs_on_real_ones(execute, shared_data, monkeypatch):
    monkeypatch.setenv("LEROBOT_AMBIENT_DATA", str(shared_data))
    outputs, told = execute("so101", SO101)
    assert told["written"]
    assert told["held_out"] == [2, 3], "the target's are judged on, as far as the policy did not see them"
    assert "WAS TRAINED on" in repr(outputs), "with so few episodes both are judged on what they saw, and told so"
    assert len(kinds(outputs, "image/png")) == 3


def test_the_notebook_of_smolvla_runs(execute):
    pytest.importorskip("transformers", reason="the extra smolvla is not installed")
    facts = """{
        "types": [ours[0], stock[0]], "action": ours[1].tolist(), "base": str(mix.config.policy.pretrained_path),
        "lowest": float(mix.plan.schedule.lower[mix.plan.joint[1] > 0].min()),
    }"""
    outputs, told = execute("fine-tune-smolvla", facts)
    assert told["types"] == ["ambient_smolvla", "smolvla"]
    assert len(told["action"][0]) == 6
    assert told["base"] == "outputs/tiny/checkpoint"
    assert told["lowest"] >= 0.49
    assert len(kinds(outputs, "image/png")) == 1
    assert any("share/ambient/so101_clumsy" in one for one in kinds(outputs, "text/plain"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_installing_is_for_colab_alone_and_names_the_distribution(notebook):
    """One cell, with a tag, that does nothing elsewhere; it installs extras that there are."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    (cell,) = [cell for cell in cells if "%pip" in "".join(cell["source"]) and cell["cell_type"] == "code"]
    assert cell["metadata"] == {"tags": ["colab"]}
    lines = "".join(cell["source"]).splitlines()
    assert lines[:3] == ["import sys", "", 'if "google.colab" in sys.modules:']
    (install,) = lines[3:]
    name, extras = re.fullmatch(r' {4}%pip install -q "(\w+)\[([\w,]+)\]"', install).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert name == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs_and_their_links_resolve(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    assert all(len(cell["source"]) <= 12 for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)
    links = [link for cell in cells for link in re.findall(r"\]\(([^)#\s]+)\)", "".join(cell["source"]))]
    assert [link for link in links if not (notebook.parent / link).is_file()] == []


def test_all_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["fine-tune-smolvla", "maze-tour", "so101"]
