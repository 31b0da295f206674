# SPDX-License-Identifier: Apache-2.0
"""Golden files: what users rely on, written down, and compared with what the code does today.

    pytest tests/contracts                       compares
    pytest tests/contracts --update-contracts    writes the golden files anew; look at the difference before committing

A contract changes only together with an entry in CHANGELOG.md that tells users.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .mixtures import MIXTURES
from .recordings import RECORDINGS, write
from .surfaces import merged

GOLDEN = Path(__file__).with_name("golden")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-contracts", action="store_true", help="write the golden files of tests/contracts anew")


@pytest.fixture(scope="session")
def updating(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared with; the option is known where this folder is named."""
    return bool(request.config.getoption("--update-contracts", default=False))


@pytest.fixture
def contract(updating: bool) -> Callable[[str, Any], None]:
    """`contract(name, value)`: the JSON value equals the golden file of that name, or becomes it with the option.

    With a `tolerance`, numbers that are no integers may differ by that much, relatively.
    """

    def check(name: str, value: Any, tolerance: float = 0.0) -> None:
        path = GOLDEN / name
        now = dump(value)
        if updating:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(now, encoding="utf-8")
            return
        then = path.read_text(encoding="utf-8") if path.is_file() else ""
        difference = difflib.unified_diff(
            then.splitlines(), now.splitlines(), f"golden/{name}", "this code", lineterm="", n=2
        )
        assert now == then or (tolerance and then and _close(json.loads(then), value, tolerance)), (
            "a contract changed. If users are to live with that, tell them in CHANGELOG.md and run\n"
            "    pytest tests/contracts --update-contracts\n" + "\n".join(difference)
        )

    return check


@pytest.fixture(scope="session")
def root_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`root_of(name)`: the folder of one of `recordings.RECORDINGS`, written at the first call."""
    folder = tmp_path_factory.mktemp("contracts")

    def root(name: str) -> Path:
        path = folder / name
        return path if path.is_dir() else write(path, RECORDINGS[name])

    return root


@pytest.fixture(scope="session")
def opened(
    root_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, Any]]:
    """`opened(name)`: one of `mixtures.MIXTURES`, its configuration and the dataset LeRobot's training is given."""
    found: dict[str, tuple[Any, Any]] = {}

    def mixture(name: str) -> tuple[Any, Any]:
        if name not in found:
            cfg = MIXTURES[name](root_of, tmp_path_factory.mktemp(name))
            found[name] = cfg, merged(cfg)
        return found[name]

    return mixture


def _close(then: Any, now: Any, tolerance: float) -> bool:
    if isinstance(then, dict) and isinstance(now, dict):
        return then.keys() == now.keys() and all(_close(then[key], now[key], tolerance) for key in then)
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(_close(a, b, tolerance) for a, b in zip(then, now, strict=True))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=tolerance)
    return bool(then == now)


def dump(value: Any) -> str:
    """JSON with a line per entry, but lists of plain values on one line each: small differences stay small."""
    return f"{_dump(value, '')}\n"


def _dump(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    plain = isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
    if not value or not isinstance(value, dict | list) or (plain and not any(isinstance(v, str) for v in value)):
        return flat
    if plain and len(flat) + len(indent) < 100:
        return flat
    below = f"{indent}  "
    if isinstance(value, dict):
        rows = [f"{below}{json.dumps(str(key))}: {_dump(one, below)}" for key, one in value.items()]
        return "\n".join(["{", ",\n".join(rows), f"{indent}}}"])
    return "\n".join(["[", ",\n".join(f"{below}{_dump(one, below)}" for one in value), f"{indent}]"])
