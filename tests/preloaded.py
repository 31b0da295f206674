# SPDX-License-Identifier: Apache-2.0
"""Programs in children forked from one process that has LeRobot loaded already.

A start of `lerobot-train` imports for seven seconds of the processor, and the tests start such programs dozens of
times. `serve` imports once and forks per request. In its folder it puts a `python` and the console scripts of this
environment, which stand where the real ones stood (`sys.executable`, and what lies beside it): each hands its words,
working folder, environment and descriptors over, passes the exit code on, and its end ends the child.

    preloaded.py serve FOLDER PID         prints `ready`, serves until the process PID ends
    preloaded.py run SOCKET WORDS...      what `python WORDS...` would do: [-m MODULE | -c CODE | FILE] ...

What a library reads from the environment while it is imported is the server's own (MUJOCO_GL), except what
huggingface_hub reads, which is read again.
"""

import array
import fcntl
import functools
import gc
import importlib
import json
import multiprocessing
import os
import select
import signal
import socket
import sys
import warnings
from pathlib import Path
from types import ModuleType

_LARGEST = 1 << 20
_OUT_OF_THE_WAY = 512
SOCKET = "socket"
SCRIPTS = ("lerobot-ambient", "lerobot-train", "lerobot-eval", "lerobot-record", "lerobot-rollout")
QUICK_SCRIPTS = ("hf",)
"""Start in a second, so they are the real ones here too."""


def run(path: str, words: list[str]) -> int:
    """The client; returns the exit code of the program, 128 + n where signal n ended it."""
    # Further descriptors are inherited on purpose, under their numbers: a stage's child holds the lock of its stage as
    # long as it lives, and what multiprocessing starts is told its pipes on the command line.
    handed = sorted(number for number in map(int, os.listdir("/proc/self/fd")) if _is_open(number))
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = {"words": words, "cwd": os.getcwd(), "env": dict(os.environ), "descriptors": handed}
        message = json.dumps(request).encode()
        assert len(message) < _LARGEST, "the words and the environment are too long for one message"
        server.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handed))])
        answer = server.recv(16)
    code = int(answer) if answer else 1
    return 128 - code if code < 0 else code


def serve(folder: Path, until: int) -> None:
    """The server: imports what LeRobot's commands import, then forks a child per request."""
    # This script's own folder is not a place that the programs search.
    del sys.path[0]
    # Libraries keep threads of their own, which wait for work that only this process could give.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
    _preload()
    path = folder / SOCKET
    _write_stand_ins(folder, path)
    # What is there by now is not looked at again by any child's collector, so its pages stay shared.
    gc.collect()
    gc.freeze()
    ended = os.pidfd_open(until)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, ended], [], [])
            if ended in ready:
                return
            client, _ = listening.accept()
            if os.fork() == 0:
                # A grandchild, so that nobody has to wait for the one that waits.
                if os.fork() == 0:
                    listening.close()
                    _attend(client, folder)
                os._exit(0)
            client.close()
            os.wait()


def _preload() -> None:
    """Import, and search once for all children the help texts that draccus searches at each parse."""
    import diffusers.schedulers  # noqa: F401
    import draccus
    import lerobot.policies.diffusion.modeling_diffusion
    import lerobot.scripts.lerobot_eval
    import lerobot.scripts.lerobot_train  # noqa: F401
    import torch
    from draccus.wrappers import docstring
    from lerobot.configs.train import TrainPipelineConfig

    for further in ("lerobot.scripts.lerobot_record", "lerobot.scripts.lerobot_rollout", "matplotlib.figure"):
        try:
            importlib.import_module(further)
        except ImportError:  # A command of an extra that is not installed: its test says so.
            continue
    torch.set_num_threads(1)
    docstring.get_attribute_docstring = functools.cache(docstring.get_attribute_docstring)
    draccus.parse(TrainPipelineConfig, args=["--dataset.repo_id=me/target"])


def _write_stand_ins(folder: Path, path: Path) -> None:
    client = f"exec '{sys.executable}' -IS '{__file__}' run '{path}'"
    stand_ins = {"python": client}
    for name in SCRIPTS:
        real = Path(sys.executable).with_name(name)
        if real.is_file():
            stand_ins[name] = f"{client} '{real}'"
    for name in QUICK_SCRIPTS:
        if (real := Path(sys.executable).with_name(name)).is_file():
            (folder / name).symlink_to(real)
    for name, line in stand_ins.items():
        (folder / name).write_text(f'#!/bin/sh\n{line} "$@"\n')
        (folder / name).chmod(0o755)


def _attend(client: socket.socket, folder: Path) -> None:
    """Fork the program, answer with its exit code; kill it when the client goes away. Never returns."""
    message, ancillary, _, _ = client.recvmsg(_LARGEST, socket.CMSG_SPACE(250 * array.array("i").itemsize))
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2])
    request = json.loads(message)
    child = os.fork()
    if child == 0:
        client.close()
        _become(request, descriptors.tolist(), folder)
    for number in descriptors:
        os.close(number)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, client], [], [])
    if ended not in ready:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended in ready:
        client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict, descriptors: list[int], folder: Path) -> None:
    """Turn this process into the program. Never returns."""
    os.setpgid(0, 0)
    # Two steps: a number that is wanted may be that of another one that has come.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for number, descriptor in zip(request["descriptors"], moved, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    # What the program starts in its turn is forked too.
    sys.executable = str(folder / "python")
    multiprocessing.set_executable(sys.executable)
    code = 0
    try:
        _read_hub_environment()
        sys.path[:0] = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        _execute(request["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _execute(words: list[str]) -> None:
    """What the interpreter does with these words."""
    import runpy

    search_here = True
    while words[0] in ("-P", "-B", "-u"):
        search_here, words = search_here and words[0] != "-P", words[1:]
    if words[0] == "-c":
        sys.argv, place = ["-c", *words[2:]], ""
    elif words[0] == "-m":
        sys.argv, place = words[1:], os.getcwd()
    else:
        sys.argv, place = words, str(Path(words[0]).resolve().parent)
    if search_here:
        sys.path.insert(0, place)
    if words[0] == "-c":
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(main))  # noqa: S102
    elif words[0] == "-m":
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def _read_hub_environment() -> None:
    """Read again what huggingface_hub and LeRobot read from the environment, wherever a module has copied it."""
    import huggingface_hub.hf_api
    import lerobot.utils.constants
    from huggingface_hub import constants

    for module in (constants, lerobot.utils.constants):
        before = {name: value for name, value in vars(module).items() if name.isupper()}
        importlib.reload(module)
        changed = {name: value for name, value in before.items() if getattr(module, name) != value}
        for other in list(sys.modules.values()):
            for name, value in changed.items():
                if getattr(other, "__dict__", {}).get(name) is value:
                    setattr(other, name, getattr(module, name))
    huggingface_hub.hf_api.api.endpoint = constants.ENDPOINT


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(run(sys.argv[2], sys.argv[3:]))
