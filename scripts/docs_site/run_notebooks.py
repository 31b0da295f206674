# SPDX-License-Identifier: Apache-2.0
"""Executes the notebooks of docs/ for the site: `python scripts/docs_site/run_notebooks.py FOLDER`.

Each runs in a folder of its own, FOLDER/NAME/, on the CPU and without a network; FOLDER/NAME.ipynb is the executed
copy. One whose notebook, package and LeRobot are as they were is not run again. All make the data they need: recordings
of this machine would make another page of each. A failure ends with exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
RECORDINGS = "LEROBOT_AMBIENT_DATA"
"""The variable that names a folder of real recordings, which a notebook would take."""
QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
CELL_SECONDS = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the executed copies are written")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.pop("MPLBACKEND", None)  # The Makefile's draws into files only; a notebook's shows what it draws.
    os.environ.pop(RECORDINGS, None)
    failed = [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb")) if not written(path, folder)]
    return int(bool(failed))


def written(path: Path, folder: Path) -> bool:
    """Write the copy of one notebook, executed where need be; whether that went well."""
    target = folder / path.name
    executed = nbformat.read(path, as_version=4)
    key = fingerprint(path)
    if target.is_file() and nbformat.read(target, as_version=4).metadata.get("fingerprint") == key:
        print(f"{path.name}: nothing it shows has changed")
        return True
    place = folder / path.stem
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    begin = time.monotonic()
    try:
        # The kernel's own log says of every start that the loopback is not encrypted.
        quiet = ["--log-level=ERROR"]
        NotebookClient(executed, timeout=CELL_SECONDS, kernel_name="python3", extra_arguments=quiet).execute(
            cwd=str(place)
        )
    except CellExecutionError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    executed.metadata["fingerprint"] = key
    nbformat.write(executed, target)
    print(f"{path.name}: executed in {time.monotonic() - begin:.0f} s")
    return True


def fingerprint(path: Path) -> str:
    """Of all that decides what a notebook shows."""
    total = hashlib.sha256(path.read_bytes())
    for file in sorted((ROOT / "lerobot_ambient").rglob("*")):
        # The catalogue and templates too, but no bytecode.
        if file.is_file() and file.suffix != ".pyc":
            total.update(file.read_bytes())
    total.update(importlib.metadata.version("lerobot").encode())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
