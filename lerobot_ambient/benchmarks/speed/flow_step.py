# SPDX-License-Identifier: Apache-2.0
"""What a training step of a flow policy on a mixture costs beyond LeRobot's own, on one and the same network.

An ambient flow policy is its stock policy with other times, so one object can take both steps (forward, backward,
AdamW): through its own `forward`, and through that of its stock class. They alternate, and which goes first alternates
too, so that what drifts on the machine hits both. On a CPU it is processor time that counts, which other work on the
machine disturbs less than the clock. What is added is a handful of operations on a batch's times. They do not grow
with the network: a small one shows them as a ratio, a real one hardly at all, so microseconds are given too.
"""

from __future__ import annotations

import copy
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from lerobot.utils.constants import ACTION, OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS, OBS_STATE
from torch import Tensor

from lerobot_ambient.benchmarks.speed.loader import ratio_with_interval
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.policy.flow.configuration_ambient import FlowOptions
from lerobot_ambient.policy.flow.families import PREFIX

GROUPS = 200
"""Of the source, each with a window of its own: more than data annotated per episode has."""
BUILT_IN = {"tiny": {"hidden_dim": 32, "num_layers": 1, "num_heads": 2}, "LeRobot's size": {}}
"""Transformers of multi_task_dit; they see through a CLIP of a few thousand weights; nothing is downloaded."""
_TOKENS, _WARM_UP, _PIXELS = 16, 3, 32
_RESET_PEAK = "5"


@dataclass(frozen=True)
class FlowStep:
    """One network's two kinds of step.

    Args:
        model: what it is.
        parameters: how many it has.
        batch_size: samples a step.
        stock_ms, ours_ms: medians of a whole step, of processor time on a CPU.
        ratio: ours over stock, median over pairs, with the 95 % interval of that median.
        added_us: ours minus stock in microseconds, likewise.
        stock_peak, ours_peak: bytes; of tensors on a GPU, of the whole process on a CPU, None where unknown.
        equal: whether with open windows both losses are equal, bit for bit.
    """

    model: str
    parameters: int
    batch_size: int
    stock_ms: float
    ours_ms: float
    ratio: dict[str, Any]
    added_us: dict[str, Any]
    stock_peak: int | None
    ours_peak: int | None
    equal: bool


def bench_flow_step(
    path: str | Path | None = None, *, pairs: int = 40, batch_size: int = 8, device: str = "cpu"
) -> list[FlowStep]:
    """Time the steps of a checkpoint, or of the built-in networks.

    Args:
        path: of a checkpoint of a flow policy, stock or ambient, or its name on the Hub; None for the built-in ones.
        pairs: of steps, after a few that are not counted.
        batch_size: samples a step.
        device: of torch.

    Raises:
        ValueError: a policy without an ambient flow form, or fewer than one pair or sample.
    """
    for name, value in (("pairs", pairs), ("batch-size", batch_size)):
        if value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}.")
    if path is not None:
        config = ambient_form(PreTrainedConfig.from_pretrained(path))
        return [_measure(str(path), _copy(config, device), path, pairs, batch_size)]
    with tempfile.TemporaryDirectory() as folder, _silent_transformers():
        clip = _write_clip(Path(folder) / "clip")
        return [
            _measure(f"multi_task_dit, {size}", _built_in(clip, device, options), None, pairs, batch_size)
            for size, options in BUILT_IN.items()
        ]


def ambient_form(config: PreTrainedConfig) -> FlowOptions:
    """The configuration itself if it is ambient, else its ambient form, without any source.

    Raises:
        ValueError: there is none.
    """
    if isinstance(config, FlowOptions):
        return _copy(config, config.device, sources=[], mixture_record=[], mixture_fingerprint=None)
    made = PreTrainedConfig.get_known_choices().get(PREFIX + config.type)
    if made is None or not issubclass(made, FlowOptions):
        raise ValueError(
            f"the checkpoint is of type {config.type}; only LeRobot's flow policies are compared with their ambient "
            "form here. For ambient_diffusion use lerobot-ambient bench train."
        )
    return made(**vars(config))


def _copy(config: FlowOptions, device: str | None, **other: Any) -> FlowOptions:
    made = copy.copy(config)
    for name, value in {"device": device, **other}.items():
        setattr(made, name, value)
    return made


def _built_in(clip: Path, device: str, options: dict[str, int]) -> FlowOptions:
    made: Any = PreTrainedConfig.get_choice_class(f"{PREFIX}multi_task_dit")
    camera = PolicyFeature(FeatureType.VISUAL, (3, _PIXELS, _PIXELS))
    named = {"vision_encoder_name": str(clip), "text_encoder_name": str(clip), "image_crop_shape": None}
    return made(  # type: ignore[no-any-return]
        input_features={OBS_STATE: PolicyFeature(FeatureType.STATE, (6,)), "observation.images.front": camera},
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (6,))},
        objective="flow_matching",
        device=device,
        push_to_hub=False,
        **named,
        **options,
    )


@contextmanager
def _silent_transformers() -> Iterator[None]:
    """Half a CLIP is read at a time, and transformers tells at length of the other half."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _write_clip(folder: Path) -> Path:
    """A CLIP of random weights; what reads it wants "clip" in its name."""
    from transformers import CLIPConfig, CLIPModel

    made: Any = CLIPConfig
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = {"vocab_size": 128, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    pictures = {"image_size": _PIXELS, "patch_size": 16}
    CLIPModel(made(text_config=size | words, vision_config=size | pictures, projection_dim=16)).save_pretrained(folder)
    return folder


def _measure(model: str, config: FlowOptions, path: str | Path | None, pairs: int, batch_size: int) -> FlowStep:
    stock = get_policy_class(config.type.removeprefix(PREFIX))
    # Let go before the next is made: a real one may not fit twice.
    equal = _equal_when_open(_policy(config, path, [EVERYTHING]), stock, made_up_batch(config, batch_size, groups=2))
    policy = _policy(config, path, [Window(0.3 + 0.6 * k / GROUPS) for k in range(GROUPS)])
    batch = made_up_batch(config, batch_size, groups=1 + GROUPS)
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=1e-6)

    def step(forward: Callable[[], Any]) -> float:
        began = now(config.device)
        optimizer.zero_grad()
        forward()[0].backward()
        optimizer.step()
        return now(config.device) - began

    kinds = {"stock": lambda: stock.forward(policy, dict(batch)), "ours": lambda: policy(dict(batch))}
    for _ in range(_WARM_UP):
        for forward in kinds.values():
            step(forward)
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(pairs):
        for name in sorted(kinds, reverse=number % 2 == 0):
            took[name].append(step(kinds[name]))
    peaks = {name: _peak(partial(step, forward), config.device) for name, forward in kinds.items()}
    both = list(zip(took["ours"], took["stock"], strict=True))
    return FlowStep(
        model=model,
        parameters=sum(p.numel() for p in policy.parameters()),
        batch_size=batch_size,
        stock_ms=1e3 * statistics.median(took["stock"]),
        ours_ms=1e3 * statistics.median(took["ours"]),
        ratio=ratio_with_interval([ours / theirs for ours, theirs in both]),
        added_us=ratio_with_interval([1e6 * (ours - theirs) for ours, theirs in both]),
        stock_peak=peaks["stock"],
        ours_peak=peaks["ours"],
        equal=equal,
    )


def _policy(config: FlowOptions, path: str | Path | None, windows: list[Window]) -> Any:
    """The ambient policy in training on a target and a source with these windows."""
    groups = [Group(0, "target", 40, EVERYTHING), *(Group(1, "source", 10, window) for window in windows)]
    plan = make_plan(groups, config.noise_schedule(), Ambient(alpha=0.5))
    mixture = SimpleNamespace(plan=plan, action_mask=None, absent_cameras=None, place_of=lambda index: f"frame {index}")
    made, meta = get_policy_class(config.type), SimpleNamespace(mixture=mixture)
    policy = (
        made(config, dataset_meta=meta)
        if path is None
        else made.from_pretrained(path, config=config, dataset_meta=meta)
    )
    return policy.to(config.device).train()


def made_up_batch(config: FlowOptions, size: int, groups: int) -> dict[str, Any]:
    """A batch as a preprocessor leaves it: random numbers in the shapes that the policy reads, groups in turn."""
    generator = torch.Generator().manual_seed(0)
    past = config.observation_delta_indices
    times = () if past is None else (len(past),)
    steps = len(config.action_delta_indices)
    (action,) = config.output_features[ACTION].shape
    batch: dict[str, Any] = {
        **{
            key: torch.rand((size, *times, *feature.shape), generator=generator)
            for key, feature in config.input_features.items()
        },
        ACTION: torch.randn((size, steps, action), generator=generator),
        "action_is_pad": torch.zeros(size, steps, dtype=torch.bool),
        OBS_LANGUAGE_TOKENS: torch.randint(3, 100, (size, _TOKENS), generator=generator),
        OBS_LANGUAGE_ATTENTION_MASK: torch.ones(size, _TOKENS, dtype=torch.bool),
        "index": torch.arange(size),
    }
    moved = {key: value.to(config.device) for key, value in batch.items()}
    return {**moved, "task": ["pick"] * size, "info": {"ambient_group": torch.arange(size) % groups}}


def _equal_when_open(policy: Any, stock: type[Any], batch: dict[str, Any]) -> bool:
    losses: list[Tensor] = []
    for forward in (lambda: stock.forward(policy, dict(batch)), lambda: policy(dict(batch))):
        torch.manual_seed(0)
        losses.append(forward()[0].detach())
    return bool(torch.equal(*losses))


def now(device: str | None) -> float:
    """Seconds: of the processor's work, or of the clock once a GPU has done its own."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _peak(step: Callable[[], Any], device: str | None) -> int | None:
    """Bytes at the highest point of a few steps."""
    gc.collect()
    if str(device).startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        step()
        return int(torch.cuda.max_memory_allocated())
    try:
        # Linux counts the highest point of a process from here on.
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        for _ in range(_WARM_UP):
            step()
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    except (OSError, KeyError):
        return None
