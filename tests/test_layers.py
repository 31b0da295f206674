# SPDX-License-Identifier: Apache-2.0
"""Imports point downwards only: each folder of the package is a layer, and this reads every import in it.

Imports inside functions count too: a lazy import postpones a dependency, it does not remove it. Below the layers are
rooms: whichever way they lie, no two of them import each other, and none holds more than can be seen at once.
"""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = "lerobot_ambient"
LAYERS = (
    "core",
    "testing",
    "data",
    "figures",
    "annotate",
    "policy",
    "integration",
    "sweep",
    "benchmarks",
    "cli",
)
"""Lowest first. A module may import its own layer and those before it."""

MAY_IMPORT = {"core": {"numpy", "torch", "matplotlib"}, "testing.virtual_arm": {"numpy"}}
"""Packages that must stay light: besides the standard library and themselves they may import this only."""

ROOT_MAY_IMPORT = {"core", "data", "annotate", "policy", "integration"}
"""The public names, when they are first used; `test_importing_the_package_is_cheap` sees to that."""

LARGEST = 15
"""Modules in a folder, at most."""

WITHOUT_ROOM = {"contracts"}
"""Folders of tests that belong to no single folder of the package."""

NOT_AT_IMPORT = ("lerobot", "torch", "numpy", "matplotlib", "pydrake", "ompl")
"""What `import lerobot_ambient` must leave alone: LeRobot alone takes seconds."""


def imported_modules(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yields (line, dotted name) of everything `module` imports, relative imports resolved.

    `from a import b` yields `a.b`, because b may be a submodule.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*names, alias.name])
        elif isinstance(node, ast.Call) and _name_of(node.func) in {"import_module", "__import__"}:
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield node.lineno, name


def _name_of(function: ast.expr) -> str:
    return getattr(function, "attr", None) or getattr(function, "id", "")


def imports_under(folder: Path) -> Iterator[tuple[Path, str, int, str]]:
    """Yields (file relative to `folder`, dotted module, line, dotted name) of every import in the package's folder."""
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        names = [PACKAGE, *inside.with_suffix("").parts]
        is_package = names[-1] == "__init__"
        module = ".".join(names[:-1] if is_package else names)
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for line, name in imported_modules(tree, module, is_package=is_package):
            yield inside, module, line, name


def violations(folder: Path) -> list[str]:
    """Returns one line per forbidden import under `folder`, the package's folder."""
    known = ", ".join(LAYERS)
    files = sorted(path.relative_to(folder) for path in folder.glob("*/**/*.py"))
    unknown = {file: file.parts[0] for file in files if file.parts[0] not in LAYERS}
    found = [f"{file}: the folder {layer} is not one of the layers {known}" for file, layer in unknown.items()]
    for inside, module, line, name in imports_under(folder):
        layer = inside.parts[0] if len(inside.parts) > 1 else None
        if inside not in unknown and (reason := _forbidden(layer, module, name)):
            found.append(f"{inside}:{line}: imports {name}: {reason}")
    return found


def circles(folder: Path) -> list[str]:
    """Returns the imports that close a circle between two or more folders under `folder`, the package's folder.

    A folder stands for the modules that lie in it directly; its rooms are folders of their own.
    """
    places = [path.relative_to(folder) for path in folder.rglob("*.py")]
    rooms = {".".join([PACKAGE, *place.parts[:-1]]) for place in places}
    modules = {".".join([PACKAGE, *place.with_suffix("").parts]) for place in places}
    arrows: dict[str, dict[str, list[str]]] = {room: {} for room in rooms}
    for inside, _, line, name in imports_under(folder):
        here = ".".join([PACKAGE, *inside.parts[:-1]])
        while name and name not in rooms and name not in modules:
            name = name.rpartition(".")[0]  # a class or function of the module before it
        there = name if name in rooms else name.rpartition(".")[0]
        # The root offers what others hold, and no layer may import it: what it takes closes no circle.
        if there and there != here and PACKAGE not in (here, there):
            arrows[here].setdefault(there, []).append(f"{inside}:{line}: imports {name}")
    reached = {room: _reachable(arrows, room) for room in rooms}
    return [
        line
        for here in sorted(arrows)
        for there, lines in sorted(arrows[here].items())
        if here in reached[there]
        for line in lines
    ]


def _reachable(arrows: Mapping[str, Mapping[str, object]], room: str) -> set[str]:
    seen: set[str] = set()
    todo = [room]
    while todo:
        new = arrows[todo.pop()].keys() - seen
        seen |= new
        todo += new
    return seen


def sizes(folder: Path) -> dict[str, int]:
    """How many modules lie in each folder that holds more than `LARGEST`, by its path relative to `folder`."""
    files = Counter(path.parent for path in folder.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))
    return {str(place.relative_to(folder)): count for place, count in files.items() if count > LARGEST}


def _forbidden(layer: str | None, module: str, name: str) -> str | None:
    top, _, rest = name.partition(".")
    if top == PACKAGE:
        target = rest.partition(".")[0]
        if layer is None:
            return None if target in ROOT_MAY_IMPORT else "the package's root offers nothing of that layer"
        if target not in LAYERS:
            return "a layer may not import the package's root, which imports integration"
        if LAYERS.index(target) > LAYERS.index(layer):
            return f"{target} lies above {layer}"
    for light, others in MAY_IMPORT.items():
        within = f"{PACKAGE}.{light}"
        own = top in others or top in sys.stdlib_module_names or _is_in(name, within)
        if _is_in(module, within) and not own:
            return f"{light} may import the standard library, {', '.join(sorted(others))} only"
    if layer != "integration" and (name == "lerobot.scripts" or name.startswith("lerobot.scripts.")):
        return "only integration may touch lerobot.scripts"
    return None


def _is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def test_the_package_keeps_its_layers(checkout):
    assert violations(checkout / PACKAGE) == []


def test_no_two_rooms_import_each_other(checkout):
    assert circles(checkout / PACKAGE) == []


def test_no_folder_holds_more_than_can_be_seen_at_once(checkout):
    assert sizes(checkout / PACKAGE) == {}


def test_the_folders_of_tests_are_those_of_the_package(checkout):
    here = checkout / "tests"
    folders = {path.parent.relative_to(here) for path in here.rglob("test_*.py")}
    assert sorted(str(f) for f in folders if not (checkout / PACKAGE / f).is_dir() and str(f) not in WITHOUT_ROOM) == []


def test_importing_the_package_is_cheap():
    code = f"import sys, {PACKAGE}; print(*(name for name in {NOT_AT_IMPORT} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("core/a.py", "from lerobot_ambient.data import sources", "data lies above core"),
        ("core/a.py", "from ..data.sources import Source", "data lies above core"),
        ("core/a.py", "from .. import policy", "policy lies above core"),
        ("core/sub/__init__.py", "from ...data import sources", "data lies above core"),
        ("core/a.py", "def f():\n    import lerobot_ambient.cli.inspect", "cli lies above core"),
        ("core/a.py", "if True:\n    import diffusers", "core may import"),
        ("core/a.py", "import lerobot.scripts.lerobot_train", "core may import"),
        ("testing/a.py", "from lerobot_ambient.data import sources", "data lies above testing"),
        ("testing/virtual_arm/a.py", "import torch", "testing.virtual_arm may import the standard library, numpy only"),
        ("testing/virtual_arm/a.py", "from lerobot.motors import Motor", "testing.virtual_arm may import"),
        ("testing/virtual_arm/a.py", "from lerobot_ambient.core import plan", "testing.virtual_arm may import"),
        ("data/a.py", "from lerobot_ambient import integration", "integration lies above data"),
        (
            "data/a.py",
            "import importlib\nimportlib.import_module('lerobot_ambient.benchmarks.tasks.maze.environment')",
            "benchmarks lies above",
        ),
        ("data/a.py", "import lerobot_ambient", "may not import the package's root"),
        (
            "data/a.py",
            "from lerobot_ambient import AmbientDiffusionPolicy",
            "may not import the package's root",
        ),
        ("policy/a.py", "from lerobot.scripts import lerobot_train", "only integration"),
        ("cli/a.py", "def f():\n    from lerobot.scripts.lerobot_train import train", "only integration"),
        ("integration/a.py", "import lerobot_ambient", "may not import the package's root"),
        ("__init__.py", "from lerobot_ambient.benchmarks import studies", "root offers nothing of that layer"),
        ("__init__.py", "from .cli import inspect", "root offers nothing of that layer"),
        ("helpers/a.py", "x = 1", "the folder helpers is not one of the layers"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, source, reason):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    (found,) = violations(tmp_path)
    assert found.startswith(file)
    assert reason in found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "core/a.py",
            "import math, torch\nimport torch.nn.functional as F\nfrom . import b\nfrom .b import C",
        ),
        ("testing/virtual_arm/a.py", "import pty\nimport numpy as np\nfrom .servo import Servo"),
        ("core/__init__.py", "from .plan import Plan\nfrom lerobot_ambient.core import plan"),
        ("data/a.py", "from lerobot_ambient.core.plan import Plan\nimport lerobot.datasets"),
        ("policy/a.py", "from ..core import losses\nfrom ..data.sources import Source"),
        ("testing/a.py", "import lerobot.cameras, yaml\nfrom .virtual_arm.servo import Servo"),
        (
            "integration/a.py",
            "from lerobot.scripts import lerobot_train\nfrom lerobot_ambient.policy import x",
        ),
        ("cli/a.py", "def f():\n    from lerobot_ambient.benchmarks import studies\n    import matplotlib"),
        (
            "__init__.py",
            "from lerobot_ambient.integration import register\nfrom .integration.register import r",
        ),
        ("__init__.py", "def f():\n    from lerobot_ambient.core.plan import Plan\n    import lerobot_ambient.data"),
        ("data/a.py", "text = 'import lerobot_ambient.cli'"),
    ],
)
def test_a_permitted_import_is_not(tmp_path, file, source):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert violations(tmp_path) == []


def plant(folder: Path, sources: Mapping[str, str]) -> None:
    for file, source in sources.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


@pytest.mark.parametrize(
    ("sources", "closing"),
    [
        ({"data/a/x.py": "from ..b import y", "data/b/y.py": "from ..a import x"}, ["data/a/x.py", "data/b/y.py"]),
        (
            {
                "data/a/x.py": "from ..b.y import f",
                "data/b/y.py": "import lerobot_ambient.data.c.z",
                "data/c/z.py": "def g():\n    from ..a.x import h",
            },
            ["data/a/x.py", "data/b/y.py", "data/c/z.py"],
        ),
        (
            {"data/a/x.py": "from ..base import f", "data/base.py": "from .a.x import g"},
            ["data/a/x.py", "data/base.py"],
        ),
        (
            {"data/a/__init__.py": "from ..b import y", "data/b/y.py": "from ..a import NAME"},
            ["data/a/__init__.py", "data/b/y.py"],
        ),
    ],
    ids=["two rooms", "three rooms", "a room and its folder", "what a room's __init__ holds"],
)
def test_a_planted_circle_is_found(tmp_path, sources, closing):
    plant(tmp_path, {**sources, "data/other/w.py": "from ..a import x"})
    assert sorted(line.partition(":")[0] for line in circles(tmp_path)) == closing


def test_arrows_one_way_are_no_circle(tmp_path):
    arrows = {"data/a/x.py": "from ..b.y import f\nfrom .w import g", "data/a/w.py": "from .x import h"}
    plant(tmp_path, {**arrows, "data/b/y.py": "import torch", "__init__.py": "from .data.a import x"})
    assert circles(tmp_path) == []


def test_a_folder_that_grew_is_found(tmp_path):
    plant(tmp_path, {f"data/a/m{index}.py": "" for index in range(LARGEST)} | {"data/a/__init__.py": ""})
    assert sizes(tmp_path) == {}
    plant(tmp_path, {"data/a/one_more.py": ""})
    assert sizes(tmp_path) == {"data/a": LARGEST + 1}
