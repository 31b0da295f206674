# SPDX-License-Identifier: Apache-2.0
"""Tiny pi0 and pi0.5: LeRobot fixes their sizes and their tokenizer's name in code, so both are met half way.

The sizes: `shrink` replaces three names in LeRobot's modules, and nothing else can, since the configuration admits
only the two real variants of Gemma. `write_plugin` writes a package that calls it, which another process imports
through LeRobot's own `--policy.discover_packages_path`. The weights differ from the real ones in size alone.

The tokenizer: `write_cache` writes the folder that the Hub's cache would hold under its name.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig

from .tiny import BEGIN, CAMERAS, CHUNK, VOCABULARY, common, write_cached_repository, write_tokenizer

TOKENIZER = "google/paligemma-3b-pt-224"
PLUGIN = "tiny_pi_plugin"
PIXELS = 28


def tiny_pi0(*, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A PI0Config for the models of `shrink`; its processors look for the tokenizer of `write_cache`."""
    from lerobot.policies.pi0.configuration_pi0 import PI0Config

    return PI0Config(**(_options(cameras) | options))


def tiny_pi05(*, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A PI05Config for the models of `shrink`; its processors look for the tokenizer of `write_cache`."""
    from lerobot.policies.pi05.configuration_pi05 import PI05Config

    return PI05Config(**(_options(cameras) | options))


def _options(cameras: Sequence[str]) -> dict[str, Any]:
    size = {"chunk_size": CHUNK, "n_action_steps": 4, "num_inference_steps": 2}
    return common(cameras) | size | {"image_resolution": (PIXELS, PIXELS)}


def write_cache(hub: Path) -> None:
    """Write the tokenizer of both into the folder `hub`, where HF_HUB_CACHE must point."""
    snapshot = write_cached_repository(hub, TOKENIZER)
    if not list(snapshot.iterdir()):
        write_tokenizer(snapshot, template=f"{BEGIN} $A")


def shrink(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make pi0 and pi0.5 tiny in this process; a test hands over monkeypatch.setattr as `replace`."""
    from lerobot.policies.pi0 import modeling_pi0
    from lerobot.policies.pi05 import modeling_pi05

    for module in (modeling_pi0, modeling_pi05):
        # Eight heads are fixed in the code of the joint attention.
        small = module.GemmaConfig(width=32, depth=1, mlp_dim=32, num_heads=8, num_kv_heads=1, head_dim=8)
        replace(module, "get_gemma_config", lambda variant, small=small: small)
        language, expert = module.PaliGemmaForConditionalGenerationWithPiGemma, module.PiGemmaForCausalLM
        replace(module, language.__name__, lambda config, stock=language: stock(_small_language(config)))
        replace(module, expert.__name__, lambda config, stock=expert: stock(_small_expert(config)))


def _small_language(config: Any) -> Any:
    config.text_config.vocab_size = VOCABULARY
    config.vision_config.update(
        {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    )
    config.vision_config.projection_dim = config.projection_dim = config.text_config.hidden_size
    return config


def _small_expert(config: Any) -> Any:
    config.vocab_size = VOCABULARY
    return config


def write_plugin(folder: Path) -> str:
    """Write a package into `folder`, a place for PYTHONPATH, that shrinks as it is imported; returns its name."""
    package = folder / PLUGIN
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(_PLUGIN.format(folder=str(Path(__file__).parent), module=Path(__file__).stem))
    return PLUGIN


# These modules belong to no package that another process could import, so they are given one.
_PLUGIN = """\
import importlib
import sys
import types

tests = sys.modules["tiny_models"] = types.ModuleType("tiny_models")
tests.__path__ = [{folder!r}]
importlib.import_module("tiny_models.{module}").shrink()
"""
