# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is data: what keeps it from running code when it is loaded.

Weights are safetensors and configurations JSON, which run nothing. One door is open in LeRobot 0.6.1: a step of a
checkpoint's processors may name any importable class, which is then called with arguments from the same file. The
processors of our policies use registered steps only, so a checkpoint of our type that names anything else is refused.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from lerobot.configs import PreTrainedConfig
from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors import SafetensorError
from torch import nn

_LONGEST = 400
"""Characters of another library's reason in a message."""

FILES = tuple(f"{name}.json" for name in (POLICY_PREPROCESSOR_DEFAULT_NAME, POLICY_POSTPROCESSOR_DEFAULT_NAME))


def refuse_foreign_steps(
    path: str | Path, *, revision: str | None = None, config: PreTrainedConfig | None = None, **download: Any
) -> None:
    """Read a checkpoint's processors before anything is made of them.

    Args:
        path: folder, or a model on the Hub.
        revision, download: for the Hub, as huggingface_hub takes them.
        config: LeRobot's for the policy that is loaded. Where it names an adapter, `path` is the base that the adapter
            goes on, and the processors that LeRobot makes are the adapter's: they are read too.

    Raises:
        ValueError: a step names a class instead of a registered step.
        LocalEntryNotFoundError: the Hub did not answer, so that nothing can be said.
    """
    if config is not None and config.use_peft and config.pretrained_path not in (None, path):
        assert config.pretrained_path is not None
        refuse_foreign_steps(config.pretrained_path, revision=config.pretrained_revision, **download)
    for name in FILES:
        file = Path(path) / name
        if not Path(path).is_dir():
            try:
                file = Path(hf_hub_download(str(path), name, revision=revision, **download))
            except LocalEntryNotFoundError:
                # Offline, LeRobot cannot load what is not in the cache either. Online it may, a moment later.
                if constants.HF_HUB_OFFLINE or download.get("local_files_only"):
                    continue
                raise
            except EntryNotFoundError:
                continue
        if not file.is_file():
            continue
        for step in json.loads(file.read_text(encoding="utf-8")).get("steps", []):
            if not step.get("registry_name"):
                raise ValueError(
                    f"checkpoint '{path}': {name} names the class {step.get('class')!r}, which loading would call. "
                    "An ambient policy has registered steps only; do not load this checkpoint unless you "
                    "know why it differs."
                )


def fetched(path: str | Path, *, revision: str | None = None, **download: Any) -> Path:
    """The folder of a checkpoint, downloaded with these options where it is on the Hub.

    LeRobot's pi0 and pi0.5 take the options for their configuration and read the newest weights in the Hub's cache.
    """
    if Path(path).is_dir():
        return Path(path)
    files = [
        hf_hub_download(str(path), name, revision=revision, **download)
        for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)
    ]
    return Path(files[-1]).parent


@contextmanager
def loaded_or_raise(policy: type[nn.Module], path: str | Path) -> Iterator[None]:
    """While a policy is loaded: see that weights are read into it.

    LeRobot's pi0 and pi0.5 print what went wrong with a file and go on with random weights; the others raise what the
    library that reads it raises, which does not say what was read and for what.

    Args:
        policy: class of the policy.
        path: for the message.

    Raises:
        OSError: nothing was read into a policy of this class, or nothing that it has.
    """
    seen: list[Exception | None] = []
    load = policy.load_state_dict

    def load_state_dict(self: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            found = load(self, state_dict, *args, **kwargs)
        except Exception as error:
            seen.append(error)
            raise
        if not set(self.state_dict()) - set(found.missing_keys):
            seen.append(KeyError(f"none of its {len(state_dict)} tensors is one of the policy's"))
        else:
            seen.append(None)
        return found

    own = vars(policy).get("load_state_dict")
    policy.load_state_dict = load_state_dict  # type: ignore[method-assign]
    try:
        yield
    except Exception as error:
        # What the policy's own class refuses, before any weight is read, speaks for itself.
        refused = bool(seen) and seen[-1] is not None
        if not (refused or isinstance(error, SafetensorError) or SAFETENSORS_SINGLE_FILE in str(error)):
            raise
        raise _not_loaded(policy, path, error) from error
    finally:
        if own is None:
            del policy.load_state_dict
        else:
            policy.load_state_dict = own  # type: ignore[method-assign]
    if not seen or seen[-1] is not None:
        raise _not_loaded(policy, path, seen[-1] if seen else None)


def _not_loaded(policy: type[nn.Module], path: str | Path, error: Exception | None) -> OSError:
    reason = "the file could not be read, see above" if error is None else str(error.args[0] if error.args else error)
    # torch lists every tensor, of which the first few say what is the matter.
    reason = textwrap.shorten(reason, _LONGEST, placeholder=" ...").rstrip(".")
    return OSError(
        f"the weights of '{path}' were not loaded into {policy.__name__}: {reason}. Nothing is trained or moved from "
        f"random weights in their place; check the checkpoint's {SAFETENSORS_SINGLE_FILE} and its policy type."
    )
