# SPDX-License-Identifier: Apache-2.0
"""Cases of an experiment that are measured once: each is a file, which a run that was killed finds again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from lerobot_ambient.data.files.replace_file import replace_file


class Measured(Protocol):
    """A case; it travels to another process."""

    def run(self) -> dict[str, Any]:
        """JSON values."""


def run_missing(cases: Mapping[Path, Measured], jobs: int, progress: bool = True) -> None:
    """Measure every case whose file is not there yet.

    Args:
        cases: by the file that keeps its result.
        jobs: processes, of one thread each.
        progress: show a bar.
    """
    missing = {file: case for file, case in cases.items() if not file.is_file()}
    with tqdm(total=len(cases), initial=len(cases) - len(missing), unit="case", disable=not progress) as bar:
        if not missing:
            return
        with _one_thread_each(), ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            running = {pool.submit(_run, case): file for file, case in missing.items()}
            try:
                for done in as_completed(running):
                    _write(running[done], done.result())
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _run(case: Measured) -> dict[str, Any]:
    return case.run()


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(result) + "\n").encode())


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within inherit one thread; libraries read this when they are loaded, not later."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
