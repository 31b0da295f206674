# SPDX-License-Identifier: Apache-2.0
"""Runs console scripts in children forked from one process that has LeRobot loaded already.

A start of `lerobot-train` imports for six seconds, and a study starts it dozens of times. `serve` imports once and
forks per request; `run` is a client of a few milliseconds that stands where the console script stood: it hands over
its words, working folder, environment and descriptors, passes its exit code on, and its end ends the child.

    preloaded.py serve SOCKET            prints `ready`, serves until its standard input closes
    preloaded.py run SOCKET SCRIPT ...   the console script SCRIPT of this environment with these words

What a library reads from the environment while it is imported (HF_ENDPOINT, MUJOCO_GL) is the server's own.
"""

import array
import functools
import json
import os
import select
import signal
import socket
import sys

_LARGEST = 1 << 20
_STDIO = 3


def run(path: str, words: list[str]) -> int:
    """The client; returns the exit code of the script, 128 + n where signal n ended it."""
    # Further descriptors are inherited on purpose: a stage's child holds the lock of its stage as long as it lives.
    handed = [number for number in map(int, os.listdir("/proc/self/fd")) if _is_open(number)]
    handed = [0, 1, 2, *(number for number in handed if number >= _STDIO)]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps({"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
        assert len(request) < _LARGEST, "the words and the environment are too long for one message"
        server.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handed))])
        answer = server.recv(16)
    code = int(answer) if answer else 1
    return 128 - code if code < 0 else code


def serve(path: str) -> None:
    """The server: imports what LeRobot's commands import, then forks a child per request."""
    # Loaded for their imports alone.
    import diffusers.schedulers  # noqa: F401
    import draccus
    import lerobot.policies.diffusion.modeling_diffusion
    import lerobot.scripts.lerobot_eval
    import lerobot.scripts.lerobot_train  # noqa: F401
    import torch
    from draccus.wrappers import docstring
    from lerobot.configs.train import TrainPipelineConfig

    torch.set_num_threads(1)
    # The help texts that draccus searches at each parse, searched once for all children.
    docstring.get_attribute_docstring = functools.cache(docstring.get_attribute_docstring)
    draccus.parse(TrainPipelineConfig, args=["--dataset.repo_id=me/target"])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, 0], [], [])
            if 0 in ready:
                return
            client, _ = listening.accept()
            if os.fork() == 0:
                # A grandchild, so that nobody has to wait for the one that waits.
                if os.fork() == 0:
                    listening.close()
                    _attend(client)
                os._exit(0)
            client.close()
            os.wait()


def _attend(client: socket.socket) -> None:
    """Fork the script, answer with its exit code; kill it when the client goes away. Never returns."""
    message, ancillary, _, _ = client.recvmsg(_LARGEST, socket.CMSG_SPACE(64 * array.array("i").itemsize))
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2])
    request = json.loads(message)
    child = os.fork()
    if child == 0:
        client.close()
        _become(request, descriptors.tolist())
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


def _become(request: dict, descriptors: list[int]) -> None:
    """Turn this process into the console script. Never returns."""
    import runpy

    os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors[:_STDIO]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    script, *words = request["words"]
    sys.argv = [script, *words]
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(run(sys.argv[2], sys.argv[3:]))
