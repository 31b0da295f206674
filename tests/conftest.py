# SPDX-License-Identifier: Apache-2.0
"""What every test runs under, and the fixtures several folders share."""

import fcntl
import functools
import gc
import hashlib
import json
import logging
import multiprocessing.spawn
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

# Before torch is imported, here and in every subprocess a test starts: torch with several threads beside
# another test process is many times slower than with one, and no test may reach the network.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
# A second of each training; the test of the figure draws it.
os.environ["LEROBOT_AMBIENT_METRICS_FIGURE"] = "0"
# Before MuJoCo and dm_control are imported: they read it then, and no test may ask for a window. Without the library
# the import itself would fail, also for tests that draw nothing.
if find_library("EGL"):
    os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
import pytest
import torch
from draccus import argparsing, choice_types
from draccus.wrappers import docstring

if TYPE_CHECKING:
    from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub

torch.set_num_threads(1)

# Draccus searches the sources of every LeRobot class for help texts at each parse, for most of its time. Here a text is
# searched once in a process; tests/test_help_texts.py parses without this.
docstring.get_attribute_docstring = functools.cache(docstring.get_attribute_docstring)


def _remember_parsers() -> None:
    """Let draccus build a configuration's parser once in a process: LeRobot's whole one takes half a second.

    A parser depends on its class, its options and what is registered by then, and is as new when it is given again.
    """
    build = argparsing.ArgumentParser.__init__
    built: dict[object, tuple[dict[str, Any], dict[str, Any], list[tuple[Any, ...]]]] = {}

    @functools.wraps(build)
    def remembered(self: Any, config_class: type, config_path: str | Path | None = None, **options: Any) -> None:
        key = (config_class, sys.argv[0], frozenset(options.items()), _registered(choice_types.ChoiceRegistryBase))
        if key not in built:
            build(self, config_class, config_path, **options)
            actions = [(one, one.default, one.type, one.choices) for one in self.parser._actions]
            built[key] = (dict(vars(self)), dict(vars(self.parser)), actions)
        attributes, of_parser, actions = built[key]
        vars(self).update(attributes, config_path=config_path)
        self.parser.__dict__ = dict(of_parser)
        for action, *parsed_by in actions:
            action.default, action.type, action.choices = parsed_by

    argparsing.ArgumentParser.__init__ = remembered


def _registered(kind: type) -> frozenset[tuple[type, str, type]]:
    """Every choice of every registry of draccus."""
    here = {(kind, name, choice) for name, choice in vars(kind).get("_choice_registry", {}).items()}
    return frozenset(here.union(*map(_registered, kind.__subclasses__())))


_remember_parsers()

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    """What is there by now stays: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_log_of_another_test() -> None:
    """Take off the root logger what a LeRobot command left there in this process.

    Its handler holds the stderr of the test that called it, closed by now, and logging answers each line with a
    traceback. Pytest's own handlers are of other classes.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) in (logging.StreamHandler, logging.FileHandler):
            root.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real recordings (so101_teleop, bimanual_hands), which are not part of the repository.

    The environment variable LEROBOT_AMBIENT_DATA names it; otherwise it is `shared/data` beside the checkout.
    Tests that need it are skipped without it. Read only: copy what a test changes.
    """
    named = os.environ.get("LEROBOT_AMBIENT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"LEROBOT_AMBIENT_DATA={named} is not a folder; fix or unset it")
    if not folder.is_dir():
        pytest.skip(
            "THE REAL RECORDINGS ARE NOT HERE, so what is checked against them is not checked: "
            "set LEROBOT_AMBIENT_DATA to the folder that holds so101_teleop and bimanual_hands"
        )
    return folder


@pytest.fixture(scope="session")
def placo() -> None:
    """Skips where LeRobot's inverse kinematics cannot run."""
    pytest.importorskip(
        "placo", reason="LEROBOT'S INVERSE KINEMATICS IS NOT TRIED: no placo; install the extra kinematics"
    )


@pytest.fixture(scope="session")
def preloaded_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `python` that has LeRobot loaded already, with stand-ins of the console scripts beside it: see preloaded.py.

    One server for all processes of a test run. Where it cannot work, this is the interpreter of this process.
    """
    if sys.platform != "linux":
        return Path(sys.executable)  # It counts on /proc and pidfd.
    folder = _shared_folder(tmp_path_factory, "preloaded")
    with _locked(folder):
        if not (folder / "socket").exists():
            until = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            start = [sys.executable, str(ROOT / "tests" / "preloaded.py"), "serve", str(folder), str(until)]
            server = subprocess.Popen(start, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n", "the server of preloaded programs did not start"
    return folder / "python"


@pytest.fixture
def preloaded_commands(preloaded_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started by `sys.executable` or multiprocessing is forked from a process that has LeRobot loaded.

    The one test of each command in a process of its own does without.
    """
    monkeypatch.setattr(sys, "executable", str(preloaded_python))
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(preloaded_python))


@pytest.fixture(scope="session")
def write_dataset(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The function that writes a small LeRobotDataset through LeRobot; see `_write_dataset` for its arguments.

    Written once in a test run, then copied: many tests ask for the same.
    """
    kept = _shared_folder(tmp_path_factory, "datasets")

    def write(root: Path, repo_id: str, lengths: Sequence[int], **options: Any) -> Path:
        asked = json.dumps([repo_id, list(lengths), options], sort_keys=True, default=list)
        made = kept / hashlib.sha256(asked.encode()).hexdigest()
        with _locked(kept):
            if not made.exists():
                partial = made.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                _write_dataset(partial, repo_id, lengths, **options).rename(made)
        return Path(shutil.copytree(made, root))

    return write


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[float]]:
    """Makes this process a client of a Hub, with a cache of its own: (hub, token) to the list of its waits.

    huggingface_hub reads its environment once, at import; waits between its retries are noted, not slept.
    """

    def connect(hub: "LoopbackHub", token: str = "hf_writer", cache: str = "hub") -> list[float]:
        import huggingface_hub.hf_api
        import huggingface_hub.repocard
        from huggingface_hub import close_session, constants
        from huggingface_hub.utils import _http
        from lerobot.datasets import dataset_metadata, lerobot_dataset

        waits: list[float] = []
        monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        address = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / cache))
        for module in (dataset_metadata, lerobot_dataset):
            monkeypatch.setattr(module, "HF_LEROBOT_HUB_CACHE", tmp_path / cache / "lerobot")
        # The card of a dataset is checked by huggingface.co, whatever the endpoint is.
        monkeypatch.setattr(huggingface_hub.repocard.RepoCard, "validate", lambda self, **kwargs: None)
        monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=waits.append))
        close_session()
        return waits

    return connect


def _shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process of this test run at a time."""
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_dataset(
    root: Path,
    repo_id: str,
    lengths: Sequence[int],
    *,
    seed: int = 0,
    fps: int = 10,
    dims: int = 2,
    names: Sequence[str] | None = None,
    keys: dict[str, str] | None = None,
    image: tuple[int, int] | None = None,
    env_state: bool = True,
    constant_dim: int | None = None,
    task: str = "go",
    spread: float = 1.0,
) -> Path:
    """A random-walk dataset with observation.state, action and optionally environment state and a camera.

    `keys` renames the features as they are written, e.g. {"action": "actions"}. Returns the root.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    named = dict.fromkeys(("observation.state", "observation.environment_state", "action", "observation.images.cam"))
    to = {key: (keys or {}).get(key, key) for key in named}
    axis = list(names or [f"joint_{i}" for i in range(dims)])
    features: dict[str, Any] = {
        to["observation.state"]: {"dtype": "float32", "shape": (dims,), "names": axis},
        to["action"]: {"dtype": "float32", "shape": (dims,), "names": axis},
    }
    if env_state:
        features[to["observation.environment_state"]] = {"dtype": "float32", "shape": (3,), "names": None}
    if image is not None:
        shape = (*image, 3)
        features[to["observation.images.cam"]] = {
            "dtype": "image",
            "shape": shape,
            "names": ["height", "width", "channels"],
        }
    dataset = LeRobotDataset.create(repo_id=repo_id, fps=fps, features=features, root=root, use_videos=False)
    for length in lengths:
        path = spread * np.cumsum(rng.normal(size=(length + 1, dims)), axis=0).astype(np.float32)
        if constant_dim is not None:
            path[:, constant_dim] = 0.5
        goal = rng.normal(size=3).astype(np.float32)
        for t in range(length):
            frame: dict[str, Any] = {
                to["observation.state"]: path[t],
                to["action"]: path[t + 1],
                "task": task,
            }
            if env_state:
                frame[to["observation.environment_state"]] = goal
            if image is not None:
                frame[to["observation.images.cam"]] = rng.integers(0, 256, (*image, 3), dtype=np.uint8)
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture(scope="session")
def generated_entry(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`generated_entry("openx/toto", ...)`: a small dataset with the schema of a catalogue entry, written once.

    Options are those of `lerobot_ambient.testing.generated.entry_dataset.generated_entry_dataset`. Read only: copy
    what a test changes.
    """
    from lerobot_ambient.data.catalogue.library import entry
    from lerobot_ambient.testing.generated.entry_dataset import generated_entry_dataset

    kept = _shared_folder(tmp_path_factory, "entries")

    def write(name: str, **options: Any) -> Path:
        one = entry(name)
        asked = json.dumps([one.name, one.digest, options], sort_keys=True, default=list)
        made = kept / hashlib.sha256(asked.encode()).hexdigest()
        with _locked(kept):
            if not made.exists():
                partial = made.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                generated_entry_dataset(one, partial, **options).rename(made)
        return made

    return write
