# SPDX-License-Identifier: Apache-2.0
"""Every name of LeRobot that the package imports is there, in imports inside functions too.

A name that is gone would otherwise be met by whoever comes first to the function that imports it.
"""

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import lerobot_ambient

ROOT = Path(lerobot_ambient.__file__).parent


def imported():
    """(module, name, file) of each import from LeRobot."""
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] == "lerobot":
                yield from ((node.module, one.name, file.relative_to(ROOT)) for one in node.names)


def is_there(module, name):
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        # A part of LeRobot whose extra is not installed cannot be looked into; a module that is gone can.
        return find_spec(module) is not None and not str(error.name).startswith("lerobot")
    return hasattr(loaded, name) or (hasattr(loaded, "__path__") and find_spec(f"{module}.{name}") is not None)


def test_lerobot_has_every_name_that_is_imported():
    wanted = list(imported())
    assert len(wanted) > 100
    known = {pair: is_there(*pair) for pair in {(module, name) for module, name, _ in wanted}}
    assert [f"{module}.{name} in {file}" for module, name, file in wanted if not known[module, name]] == []
