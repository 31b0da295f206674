# SPDX-License-Identifier: Apache-2.0
"""Act on a module of LeRobot's as soon as it is loaded, without loading it.

Loading LeRobot's scripts here would cost every command of LeRobot the imports of all the others.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], None]


def after_import(name: str, act: Act) -> None:
    """Call `act` with the module `name`: now where it is loaded, else right after its import. Idempotent.

    Where the module runs as the program itself (`python -m`, `accelerate launch -m`), `act` gets that one as well.
    """
    for module in (sys.modules.get(name), _running_as_main(name)):
        if module is not None:
            act(module)
    waiting = any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path)
    if name not in sys.modules and not waiting:
        sys.meta_path.insert(0, _Finder(name, act))


def _running_as_main(name: str) -> ModuleType | None:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    return main if spec is not None and spec.name == name else None


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the ordinary finders load the module, and acts right after."""

    def __init__(self, name: str, act: Act) -> None:
        self.name = name
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ActingLoader(spec.loader, self._act)
        return spec


class _ActingLoader(importlib.abc.Loader):
    def __init__(self, inner: Any, act: Act) -> None:
        self._inner = inner
        self._act = act

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._act(module)

    def __getattr__(self, name: str) -> Any:
        # get_source, get_code, ...: whatever debuggers and `inspect` ask of a loader.
        return getattr(self._inner, name)
