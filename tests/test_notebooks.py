# SPDX-License-Identifier: Apache-2.0
"""The page "From Python" and the notebooks, run cell by cell in one namespace, as a reader would."""

from __future__ import annotations

import ast
import json
import logging
import re
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


def code(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


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


def test_the_tour_of_the_maze_runs(place):
    pytest.importorskip("pydrake")
    pytest.importorskip("ompl")
    names = run_cells(code(ROOT / "docs" / "notebooks" / "maze-tour.ipynb"))
    assert 0.0 < names["found"].window.sigma_min < 1.0
    assert 0 < int((names["group"] > 0).sum()) < 64
    assert (names["trained"] / "model.safetensors").is_file()


def test_the_notebook_of_the_arm_runs(place, shared_data, monkeypatch):
    monkeypatch.setenv("LEROBOT_AMBIENT_DATA", str(shared_data))
    names = run_cells(code(ROOT / "docs" / "notebooks" / "so101.ipynb"))
    assert names["batch"]["action"].shape == (32, 16, 6)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs_and_their_links_resolve(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    assert all(len(cell["source"]) <= 12 for cell in cells)
    links = [link for cell in cells for link in re.findall(r"\]\(([^)#\s]+)\)", "".join(cell["source"]))]
    assert [link for link in links if not (notebook.parent / link).is_file()] == []


def test_both_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["maze-tour", "so101"]
