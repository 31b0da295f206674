# SPDX-License-Identifier: Apache-2.0
"""An error that this package raises for users ends a command of LeRobot's with its message, not with a traceback.

`lerobot-train` and its kin let every exception through to the interpreter, which prints it below forty lines of where
it came from. The interpreter's hook for uncaught exceptions is replaced in such a command only, so a script or a
notebook that calls the same functions gets the exceptions, and LEROBOT_AMBIENT_DEBUG=1 shows where they come from.
"""

from __future__ import annotations

import dis
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

DEBUG = "LEROBOT_AMBIENT_DEBUG"
"""Environment variable; anything but empty or 0 keeps the traceback."""

CONFIG_SUFFIXES = (".yaml", ".yml", ".json", ".toml")

_FOR_USERS = (ValueError, OSError, RuntimeError, ImportError, ArithmeticError)
_COMMANDS = ("lerobot.scripts.", "lerobot.async_inference.")
_RAISE = dis.opmap["RAISE_VARARGS"]


def install_in_command() -> None:
    """Replace the hook where the running program is a command of LeRobot's. Idempotent."""
    if _is_command() and getattr(sys.excepthook, "func", None) is not _report:
        sys.excepthook = partial(_report, previous=sys.excepthook)


def message_of(error: BaseException) -> str | None:
    """What to tell a user of an uncaught exception, or None where it is not one that we raised for users.

    An error counts as raised for users if a `raise` of this package made it, or made what caused it; what fails inside
    a function that we call is a bug, and so is a KeyError.
    """
    for cause in chain(error):
        if is_for_users(cause):
            return "\n".join([str(cause), *(f"  {note}" for note in getattr(cause, "__notes__", []))])
        told = _from_worker(cause)
        if told is not None:
            return told
    return _not_found(error) or _in_the_way(error)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def is_for_users(error: BaseException) -> bool:
    """Whether a `raise` statement of this package made this exception, and not as a bug."""
    trace = error.__traceback__
    if not isinstance(error, _FOR_USERS) or trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    ours = str(frame.f_globals.get("__name__", "")).startswith("lerobot_ambient.")
    return ours and frame.f_code.co_code[trace.tb_lasti] == _RAISE


def _is_command() -> bool:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name.startswith(_COMMANDS):
        return True
    program = Path(sys.argv[0] if sys.argv else "").stem.replace("_", "-")
    return program.startswith("lerobot-") and program != "lerobot-ambient"


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None, *, previous: Any) -> None:
    told = None if os.environ.get(DEBUG, "0") not in ("", "0") else message_of(error)
    if told is None:
        previous(kind, error, trace)
        return
    sys.stdout.flush()
    if getattr(getattr(sys.modules.get("tqdm"), "tqdm", None), "_instances", ()):
        print(file=sys.stderr)  # A progress bar ends without a line's end.
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    print(f"error{' of process ' + os.environ['RANK'] if several else ''}: {told}", file=sys.stderr)


def _from_worker(error: BaseException) -> str | None:
    """The message of an error in a loader's worker, which torch hands on as text with its traceback."""
    text = str(error)
    if not isinstance(error, _FOR_USERS) or not re.match(r"Caught \w+ in DataLoader worker process", text):
        return None
    frames = re.findall(r'^  File "(.+)", line ', text, flags=re.MULTILINE)
    message = text.rpartition(f"\n{type(error).__name__}: ")[2]
    return message.rstrip() if frames and "lerobot_ambient" in Path(frames[-1]).parts else None


def _not_found(error: BaseException) -> str | None:
    """LeRobot takes a path that is not there for a model on the Hub, and tells of the Hub only."""
    from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of

    for cause in chain(error):
        if not isinstance(cause, NOT_ON_THE_HUB):
            continue
        for option, place, reader in (
            ("config_path", "lerobot.configs.train", "from_pretrained"),
            ("config_path", "lerobot.configs.parser", "extract_path_fields_from_config"),
            ("policy.path", "lerobot.configs.policies", "from_pretrained"),
        ):
            value = _value_of(option)
            if value is not None and not Path(value).is_file() and _passed_through(cause, place, reader):
                return not_there(option, value, reason_of(cause))
    return None


def _in_the_way(error: BaseException) -> str | None:
    """A recording refuses its folder where an earlier attempt left one, for instance because a motor was silent."""
    for cause in chain(error):
        if isinstance(cause, FileExistsError) and _passed_through(cause, "lerobot.datasets.dataset_metadata", "create"):
            return taken(Path(str(cause.filename)))
    return None


def taken(root: Path) -> str:
    """Say what is in a folder that a recording was to make, and how to go on."""
    try:
        episodes = int(json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))["total_episodes"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{root} exists and is no dataset of LeRobot's; give another --dataset.root."
    if episodes == 0:
        return (
            f"{root} exists, but holds no episode: an attempt left it that ended before its first one, for instance "
            f"because a motor did not answer. Remove it (rm -r {root}) and start the same command again."
        )
    count = "1 episode" if episodes == 1 else f"{episodes} episodes"
    return (
        f"{root} holds {count}. --resume=true adds --dataset.num_episodes more; "
        "for a new dataset give another --dataset.root and --dataset.repo_id."
    )


def not_there(option: str, value: str, reason: str = "") -> str:
    """Say that the file or folder given to an option is not there; `reason` is what the Hub said, if it was asked."""
    path = Path(value)
    if path.is_dir():
        name = "config.json" if option == "policy.path" else "train_config.json"
        return f"--{option}={value}: the folder has no {name}; give the one called pretrained_model."
    from lerobot_ambient.integration.errors.near_options import near_path

    near = near_path(path)
    if near is not None:
        return f"--{option}={value}: no such file or folder; did you mean --{option}={near}?"
    if path.suffix in CONFIG_SUFFIXES:
        where = path.absolute().parent
        return f"--{option}={value}: no such {'file in' if where.is_dir() else 'folder:'} {where}."
    hub = f"and no such model on the Hub{reason}" if reason else "nor a model in the cache of the Hub"
    return f"--{option}={value}: no such file or folder here, {hub}."


def on_the_way_to_configuration(error: BaseException) -> bool:
    """Whether LeRobot raised this while it looked for a training's configuration."""
    return _passed_through(error, "lerobot.configs.train", "from_pretrained")


def options_of(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every word of a command line as (option, value), the value behind its `=` or else the word that follows."""
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        yield option, value if equals else "".join(words[place + 1 : place + 2])


def _value_of(option: str) -> str | None:
    return next((value for name, value in options_of(sys.argv[1:]) if name == f"--{option}"), None)


def _passed_through(error: BaseException, module: str, function: str) -> bool:
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__") == module and frame.f_code.co_name == function:
            return True
        trace = trace.tb_next
    return False
