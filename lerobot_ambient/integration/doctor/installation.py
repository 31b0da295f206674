# SPDX-License-Identifier: Apache-2.0
"""Checks of an installation: environment, LeRobot's discovery of the plugin, the seam, video decoders.

A check looks and tells; it changes nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging.handlers
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import torch
from huggingface_hub import constants as hub_constants
from lerobot.utils.constants import HF_LEROBOT_HOME
from lerobot.utils.import_utils import get_safe_default_video_backend
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from lerobot_ambient.integration.errors.decoder_notice import explain_torchcodec
from lerobot_ambient.integration.seams.table import CARD, HOOKS, LOST, SOURCES, Way, ways
from lerobot_ambient.policy.flow.families import FAMILIES, PREFIX

DISTRIBUTION = "lerobot_policy_ambient_diffusion"
_POLICY_TYPE = "ambient_diffusion"
_STATUSES = ("ok", "warning", "problem", "skipped")
_extra = attrgetter("extra")

LITTLE_DISK = 5 * 2**30
"""Bytes; a dataset with cameras or a few checkpoints of a U-Net take this much."""

EXTRAS = {
    "maze": "the verbs make-data and reproduce maze",
    "pushing": "the task pushing",
    "pusht": "the task pusht",
    "arm7": "the task arm7",
    "metaworld": "the task metaworld, and lerobot-eval --env.type=metaworld",
    "aloha": "make-data aloha, reproduce aloha and lerobot-eval --env.type=aloha",
    "arm": "LeRobot's drivers of SO-100 and SO-101, and reproduce arm-story",
    "plots": "inspect --png",
    "view": "view --rerun",
    "space": "the app in spaces/windows",
    "kinematics": "LeRobot's inverse kinematics, in rollouts in end-effector space",
    "lance": "datasets that are kept as Lance's tables",
    "annotate": "annotate's classifiers and reports",
    "sweep": "the verb sweep",
    "async": "the verb policy-server",
    **{
        extra: " and ".join(f"--policy.type={PREFIX}{family.stock}" for family in families)
        for extra, families in groupby(sorted(FAMILIES.values(), key=_extra), key=_extra)
    },
}
"""Optional parts of the distribution, and what needs them."""

# LeRobot's discovery in an interpreter of its own: this process has imported the package already, and may have
# found it in the current directory, where lerobot-train would not look.
_DISCOVER = """
import json, logging, sys
failures = {}
class Keep(logging.Handler):
    def emit(self, record):
        if record.exc_info:
            failures[str(record.args[0])] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
logging.getLogger().addHandler(Keep())
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins
register_third_party_plugins()
name, policy = sys.argv[1:]
print(json.dumps({
    "failure": failures.get(name),
    "known": policy in PreTrainedConfig.get_known_choices(),
    "file": getattr(sys.modules.get(name), "__file__", None),
}))
"""


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        name: what was looked at.
        status: ok; warning (works, but know this); problem (will not work); skipped (not looked at, or not there).
        found: what there is; the first line stands for itself.
        fix: what to do about it.
    """

    name: str
    status: str
    found: str
    fix: str | None = None

    def __post_init__(self) -> None:
        assert self.status in _STATUSES, self.status


@contextlib.contextmanager
def captured_logs() -> Iterator[list[logging.LogRecord]]:
    """Collects what is logged instead of printing it: LeRobot logs a page whenever torchcodec does not load."""
    collector = logging.handlers.BufferingHandler(capacity=sys.maxsize)
    root = logging.getLogger()
    before, root.handlers = root.handlers, [collector]
    try:
        yield collector.buffer
    finally:
        root.handlers = before


def check_environment() -> list[Check]:
    """Versions, device, threads, the Hub, disk, optional extras."""
    accelerator = _accelerator()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    offline = "on: nothing is downloaded" if hub_constants.HF_HUB_OFFLINE else "off: datasets may be downloaded"
    requirements = _requirements()
    return [
        _check_python(),
        check_lerobot(requirements),
        Check("torch", "ok", f"{torch.__version__}, device {accelerator or 'cpu'}"),
        check_threads(torch.get_num_threads(), cores, load, accelerator),
        Check("HF_HUB_OFFLINE", "ok", offline),
        check_disk(HF_LEROBOT_HOME),
        *(check_extra(extra, requirements) for extra in EXTRAS),
    ]


def _check_python() -> Check:
    """The interpreter against the distribution's bound."""
    version = platform.python_version()
    bound = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    if SpecifierSet(bound).contains(version, prereleases=True):
        return Check("python", "ok", f"{version} ({sys.executable})")
    return Check("python", "problem", f"{version}, needed {bound}", f"make an environment with python {bound}")


def check_lerobot(requirements: list[Requirement]) -> Check:
    """LeRobot's version against the range that the distribution declares."""
    version = metadata.version("lerobot")
    allowed = _supported_lerobot(requirements)
    if allowed.contains(version, prereleases=True):
        return Check("lerobot", "ok", f"{version}, supported {allowed}")
    if all(Version(version) >= Version(bound.version) for bound in allowed):
        fix = f"see below whether it has what is needed; else {_other_lerobot(allowed)}"
        return Check("lerobot", "warning", f"{version}, tried with {allowed} alone", fix)
    return Check("lerobot", "problem", f"{version}, supported {allowed}", _other_lerobot(allowed))


def check_threads(threads: int, cores: int, load: float, accelerator: str | None) -> Check:
    """Whether torch's threads will fight for the cores, which makes a step many times slower.

    Args:
        threads: torch's threads within one operation.
        cores: that this process may use.
        load: processes that were running, on average of the last minute.
        accelerator: where the network runs if not on these cores.
    """
    setting = os.environ.get("OMP_NUM_THREADS")
    found = f"torch uses {threads} on {cores} cores, OMP_NUM_THREADS {'not set' if setting is None else setting}"
    if accelerator is not None or threads == 1 or (threads < cores and threads + load <= cores):
        return Check("threads", "ok", found)
    why = "they leave none for loader workers or a second run, and every step waits for the slowest"
    return Check("threads", "warning", f"{found}: {why}", "export OMP_NUM_THREADS=1 and run processes side by side")


def check_disk(folder: Path) -> Check:
    """Free space where LeRobot keeps datasets."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 2**30:.1f} GiB free for HF_LEROBOT_HOME={folder}"
    if not os.access(existing, os.W_OK):
        return Check("disk", "warning", f"{found}, which may not be written", "set HF_LEROBOT_HOME to another folder")
    if free < LITTLE_DISK:
        return Check("disk", "warning", found, "free some, or set HF_LEROBOT_HOME to a folder on another disk")
    return Check("disk", "ok", found)


def check_extra(extra: str, requirements: list[Requirement]) -> Check:
    """Whether the packages of an extra of the distribution are there; not having them is no fault.

    Where the extra is one of LeRobot's, what that one brings is looked for in its turn.
    """
    missing, unfit = [], []
    needed = [requirement for requirement in requirements if _is_of(extra, requirement)]
    fix = f"pip install '{DISTRIBUTION}[{extra}]'"
    if not needed:
        found = "not known to the installed distribution, which is older than this code"
        return Check(f"extra {extra}", "skipped", found, f"{fix}, or pip install -e '.[{extra}]' in a checkout")
    for requirement in _with_extras(needed):
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            unfit.append(f"{requirement.name} {version}, needed {requirement.specifier}")
    if unfit:
        return Check(f"extra {extra}", "warning", "; ".join(unfit), fix)
    if missing:
        found = f"not installed ({', '.join(dict.fromkeys(missing))}); it is for {EXTRAS[extra]}"
        return Check(f"extra {extra}", "skipped", found, fix)
    return Check(f"extra {extra}", "ok", "installed")


def _is_of(extra: str, requirement: Requirement) -> bool:
    """Whether a requirement holds because of an extra, on this platform."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _with_extras(requirements: list[Requirement]) -> list[Requirement]:
    """These, and all that the extras in them bring: `lerobot[pi]` is LeRobot, its transformers, and so on."""
    found, seen, waiting = [], set(), list(requirements)
    while waiting:
        requirement = waiting.pop(0)
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.append(requirement)
        with contextlib.suppress(metadata.PackageNotFoundError):
            brought = (
                [Requirement(text) for text in metadata.requires(requirement.name) or []] if requirement.extras else []
            )
            waiting += [one for extra in sorted(requirement.extras) for one in brought if _is_of(extra, one)]
    return found


def check_plugin() -> list[Check]:
    """Whether LeRobot finds the plugin: it imports distributions by name and keeps exceptions to itself."""
    names = [distribution.metadata["Name"] or "" for distribution in metadata.distributions()]
    if DISTRIBUTION not in names:
        other = [name for name in names if re.sub(r"[-_.]+", "_", name).lower() == DISTRIBUTION]
        found = f"the distribution is named {other[0]}" if other else "the distribution is not installed"
        found += f"; LeRobot looks for names that start with lerobot_policy_, such as {DISTRIBUTION}"
        fix = f"pip install {DISTRIBUTION}, or pip install -e . in its checkout"
        return [Check("plugin", "problem", found, fix)]
    # -P: as from a console script, the current directory is not searched.
    command = [sys.executable, "-P", "-c", _DISCOVER, DISTRIBUTION, _POLICY_TYPE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        found = "; ".join(["LeRobot's own discovery fails", *last])
        return [Check("plugin", "problem", found, "pip install --force-reinstall 'lerobot[training,diffusion]'")]
    told = json.loads(done.stdout.splitlines()[-1])
    return [_plugin_check(told["failure"], told["known"], told["file"])]


def _plugin_check(failure: str | None, known: bool, file: str | None) -> Check:
    if failure is not None:
        fix = f"see the traceback with: python -P -c 'import {DISTRIBUTION}'; install what it lacks"
        return Check("plugin", "problem", f"LeRobot swallowed an exception while importing it: {failure}", fix)
    if not known:
        found = f"{file} is imported, but does not register the policy type {_POLICY_TYPE}"
        fix = f"remove or rename that file if it is not of {DISTRIBUTION}; else reinstall the distribution"
        return Check("plugin", "problem", found, fix)
    version = metadata.version(DISTRIBUTION)
    return Check("plugin", "ok", f"{DISTRIBUTION} {version} registers the policy type {_POLICY_TYPE}")


def check_seam() -> list[Check]:
    """A check for each part of the seam: by which of LeRobot's names it is done here, or why it is not."""
    found: dict[str, list[Way]] = {part: [] for part in LOST}
    failed: dict[str, ImportError] = {}
    for name in dict.fromkeys(hook.module for hook in HOOKS):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            failed |= {hook.part: error for hook in HOOKS if hook.module == name}
        else:
            for way in ways(module):
                found[way.part].append(way)
    return [_seam_check(part, found[part], failed.get(part)) for part in LOST]


def _seam_check(part: str, done: Sequence[Way], failed: ImportError | None) -> Check:
    name = "lerobot-train" if part == SOURCES else part
    if failed is not None:
        status, fix = ("problem", "pip install 'lerobot[training,diffusion]'") if part == SOURCES else ("skipped", None)
        return Check(name, status, f"LeRobot's module cannot be imported: {failed}", fix)
    problems = [way for way in done if way.problems]
    if problems:
        told = "; ".join(problem for way in problems for problem in way.problems)
        fix = _other_lerobot(_supported_lerobot(_requirements()))
        return Check(name, "problem" if part == SOURCES else "warning", f"{told}\n{LOST[part]}", fix)
    if not done:
        assert part == CARD, f"no name of LeRobot's belongs to {part}"
        return Check(name, "ok", "by the policy's own methods push_model_to_hub and generate_model_card")
    return Check(name, "ok", "; ".join(f"by {', '.join(way.names)} in {way.module}" for way in done))


def check_decoders() -> list[Check]:
    """What can decode videos, and what LeRobot will use."""
    checks = [_check_torchcodec(), *check_pyav()]
    with captured_logs():
        backend = get_safe_default_video_backend()
    usable = {"torchcodec": checks[0], "pyav": checks[1]}[backend].status == "ok"
    fix = None if usable else "pip install 'lerobot[dataset]'"
    return [*checks, Check("video backend", "ok" if usable else "problem", f"LeRobot decodes with {backend}", fix)]


def _check_torchcodec() -> Check:
    """LeRobot's first choice; not having it costs speed only."""
    fallback = "PyAV is used instead"
    try:
        version = metadata.version("torchcodec")
    except metadata.PackageNotFoundError:
        return Check(
            "torchcodec", "warning", f"not installed; {fallback}", "pip install torchcodec, where it has wheels"
        )
    try:
        importlib.import_module("torchcodec")
    except (ImportError, OSError, RuntimeError) as error:
        reason, fix = explain_torchcodec(str(error))
        return Check("torchcodec", "warning", f"{version} does not load: {reason}; {fallback}", fix)
    return Check("torchcodec", "ok", version)


def check_pyav() -> list[Check]:
    """PyAV and its decoders of the two codecs that LeRobot records with."""
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        return [Check("pyav", "problem", f"cannot be imported: {error}", "pip install 'lerobot[dataset]'")]
    # FFmpeg's own "av1" only drives GPUs; software decoding is libdav1d's or libaom's.
    decoders = {"h264": ("h264",), "av1": ("libdav1d", "libaom-av1")}
    checks = [Check("pyav", "ok", av.__version__)]
    for codec, names in decoders.items():
        have = [name for name in names if _can_decode(av.codec, name)]
        if have:
            checks.append(Check(f"decoder {codec}", "ok", have[0]))
        else:
            fix = "pip install --force-reinstall --only-binary av av: the wheels bring their own FFmpeg"
            checks.append(Check(f"decoder {codec}", "warning", f"PyAV has none for {codec} videos", fix))
    return checks


def _can_decode(codec: ModuleType, name: str) -> bool:
    try:
        codec.Codec(name, "r")
    except codec.codec.UnknownCodecError:
        return False
    return True


def _accelerator() -> str | None:
    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)}, {torch.cuda.device_count()} in all)"
    return "mps" if torch.backends.mps.is_available() else None


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]


def _supported_lerobot(requirements: list[Requirement]) -> SpecifierSet:
    return next(requirement.specifier for requirement in requirements if requirement.name == "lerobot")


def _other_lerobot(allowed: SpecifierSet) -> str:
    return f"pip install 'lerobot[training,diffusion]{allowed}', or a newer {DISTRIBUTION}"
