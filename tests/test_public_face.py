# SPDX-License-Identifier: Apache-2.0
"""`import lerobot_ambient as la`: cheap, few names, each with an example that holds."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import runpy
import sys

import pytest
import torch

import lerobot_ambient as la

NAMES = [name for name in la.__all__ if name != "__version__"]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory, write_dataset):
    """A folder with data/target and data/sim, in which the examples run: a walk, and one of wider steps."""
    folder = tmp_path_factory.mktemp("face")
    write_dataset(folder / "data" / "target", "me/target", [24] * 8, seed=1, env_state=False)
    write_dataset(folder / "data" / "sim", "me/sim", [24] * 10, seed=2, env_state=False, spread=3.0)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_examples_hold(name, data_folder, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(data_folder / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebook", "--policy.path=nowhere"])
    found = doctest.DocTestFinder(exclude_empty=True).find(
        inspect.unwrap(getattr(la, name)), name, module=False, globs={"la": la, "torch": torch}
    )
    examples = [test for test in found if test.examples]
    assert examples, f"la.{name} shows no example"
    for test in examples:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
        told = []
        runner.run(test, out=told.append)
        assert runner.failures == 0, "".join(told)


def test_type_checkers_see_the_names_that_there_are(checkout):
    tree = ast.parse((checkout / "lerobot_ambient" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in block.body
        for alias in getattr(node, "names", [])
        if isinstance(node, ast.ImportFrom)
    }
    assert sorted(seen) == sorted(NAMES)
    for name, place in seen.items():
        module, _, attribute = place.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is inspect.unwrap(getattr(la, name))


def test_all_names_are_listed_and_documented():
    assert set(la.__all__) <= set(dir(la))
    assert 15 <= len(NAMES) <= 25
    assert all(inspect.getdoc(getattr(la, name)) for name in NAMES)
    assert la.__version__[0].isdigit()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Sauce'"):
        la.Sauce  # noqa: B018


def test_the_reference_is_written_from_the_docstrings(checkout):
    made = runpy.run_path(str(checkout / "scripts" / "python_reference.py"))
    assert sorted(name for room in made["ROOMS"].values() for name in room) == sorted(NAMES)
    said = (checkout / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert said == made["page"](), "run scripts/python_reference.py"
