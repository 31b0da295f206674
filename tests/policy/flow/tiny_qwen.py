# SPDX-License-Identifier: Apache-2.0
"""Tiny models of the policies that stand on Qwen's vision-language models, in a folder like those of tiny.py."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig

from .tiny import CAMERAS, CHUNK, JOINTS, VOCABULARY, common, own_weights, write_cached_repository, write_tokenizer

_SPECIALS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")

# What Qwen's own template says of a message: who speaks, then pictures and words in their order.
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8, "vocab_size": VOCABULARY}
_TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2}
_VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
_WINDOWS = {"patch_size": 14, "window_size": 28, "fullatt_block_indexes": [0]}


def tiny_eo1(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """An EO1Config whose Qwen2.5-VL is a folder below `folder`."""
    from lerobot.policies.eo1.configuration_eo1 import EO1Config

    named = {"vlm_base": str(write_qwen25(folder)), "dtype": "float32"}
    size = {"image_min_pixels": 28 * 28, "image_max_pixels": 28 * 28, "num_denoise_steps": 2, "n_action_steps": 4}
    return EO1Config(**(common(cameras) | named | size | {"chunk_size": CHUNK} | options))


def tiny_vla_jepa(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A VLAJEPAConfig without its world model, whose Qwen3-VL is a folder below `folder`."""
    from lerobot.policies.vla_jepa.configuration_vla_jepa import VLAJEPAConfig

    named = {"qwen_model_name": str(write_qwen3(folder)), "torch_dtype": "float32", "enable_world_model": False}
    size = {"action_model_type": "DiT-test", "action_num_layers": 2, "action_hidden_size": 16, "num_video_frames": 4}
    size |= {"num_embodied_action_tokens_per_instruction": 4, "num_action_tokens_per_timestep": 2, "chunk_size": CHUNK}
    size |= {"num_inference_timesteps": 2, "n_action_steps": 4, "action_dim": JOINTS, "state_dim": JOINTS}
    return VLAJEPAConfig(**(common(cameras) | named | size | options))


def tiny_groot(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A GrootConfig whose GR00T N1.7 and Qwen3-VL are folders below `folder`.

    LeRobot fixes the name of its processor, which lies in `folder / "hub"`: HF_HUB_CACHE must point there.
    """
    from lerobot.policies.groot.configuration_groot import GROOT_N1_7_BACKBONE_MODEL, GrootConfig
    from lerobot.policies.groot.groot_n1_7 import GR00TN17, GR00TN17Config

    backbone = write_qwen3(folder)
    processor = write_cached_repository(folder / "hub", GROOT_N1_7_BACKBONE_MODEL)
    if not list(processor.iterdir()):
        shutil.copytree(backbone, processor, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    model = folder / "tiny-gr00t"
    width = {"max_state_dim": 8, "max_action_dim": 8}
    if not model.exists():
        heads = {"positional_embeddings": None, "num_layers": 2, "num_attention_heads": 2, "dropout": 0.2}
        dit = heads | {"attention_head_dim": 8, "output_dim": 16, "norm_type": "ada_norm", "final_dropout": True}
        attention = heads | {"attention_head_dim": 16, "num_layers": 1, "final_dropout": True}
        size = {"backbone_embedding_dim": 32, "select_layer": 2, "hidden_size": 16, "input_embedding_dim": 16}
        size |= {"action_horizon": CHUNK, "max_num_embodiments": 16, "max_seq_len": 64, "num_inference_timesteps": 2}
        config = GR00TN17Config(
            model_name=str(backbone),
            diffusion_model_cfg=dit | {"interleave_self_attention": True},
            vl_self_attention_cfg=attention,
            **size,
            **width,
        )
        with own_weights():
            GR00TN17(config, load_backbone_weights=False).save_pretrained(model)
    named = {"base_model_path": str(model), "use_bf16": False}
    return GrootConfig(**(common(cameras) | named | width | {"chunk_size": CHUNK, "n_action_steps": 4} | options))


def tiny_wall_x(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A WallXConfig whose Qwen2.5-VL with experts is a folder below `folder`; half of it computes in bfloat16."""
    from lerobot.policies.wall_x.configuration_wall_x import WallXConfig
    from lerobot.policies.wall_x.modeling_wall_x import Qwen2_5_VLMoEForAction
    from lerobot.policies.wall_x.qwen_model import Qwen2_5_VLConfig
    from safetensors.torch import save_file

    model, width = folder / "tiny-wall-x", 8
    if not model.exists():
        processor = _write_processor25(model, added=("<|action|>", "<|propri|>"))
        expert = {"hidden_size": 32, "intermediate_size": 32, "hidden_act": "silu"}
        experts = {"num_experts": 2, "experts": [expert, expert], "mlp_moe": True, "dim_inputs": [32, 32]}
        experts |= {"dof_config": {"arm": width}}
        config = Qwen2_5_VLConfig(
            # LeRobot cuts the words down to the tokenizer's.
            text_config=_text(processor.tokenizer) | experts | {"vocab_size": len(processor.tokenizer)},
            vision_config=_VISION | _WINDOWS,
            agent_pos_config={"arm": width},
            **_token_ids(processor.tokenizer),
        )
        with own_weights():
            weights = Qwen2_5_VLMoEForAction(config, processor=processor).state_dict()
        save_file({name: weight.clone() for name, weight in weights.items()}, model / "model.safetensors")
        config.save_pretrained(model)
    size = {"chunk_size": CHUNK, "n_action_steps": 4, "max_action_dim": width, "max_state_dim": width}
    return WallXConfig(**(common(cameras) | {"pretrained_name_or_path": str(model)} | size | options))


def write_qwen25(folder: Path) -> Path:
    """A Qwen2.5-VL with its processor, and with rows of words for the tokens that EO1 adds."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    target = folder / "tiny-qwen2.5-vl"
    if not target.exists():
        tokenizer = _write_processor25(target).tokenizer
        config = Qwen2_5_VLConfig(
            text_config=_text(tokenizer), vision_config=_VISION | _WINDOWS, **_token_ids(tokenizer)
        )
        with own_weights():
            Qwen2_5_VLForConditionalGeneration(config).save_pretrained(target)
    return target


def write_qwen3(folder: Path) -> Path:
    """A Qwen3-VL with its processor."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    target = folder / "tiny-qwen3-vl"
    if not target.exists():
        tokenizer = write_tokenizer(target, added=_SPECIALS)
        vision = {"patch_size": 16, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}
        config = Qwen3VLConfig(
            text_config=_text(tokenizer, mrope_interleaved=True),
            vision_config=_VISION | vision,
            tie_word_embeddings=True,
            **_token_ids(tokenizer),
        )
        with own_weights():
            Qwen3VLForConditionalGeneration(config).save_pretrained(target)
        Qwen3VLProcessor(
            image_processor=Qwen2VLImageProcessor(patch_size=16, size=_pixels(32)),
            tokenizer=tokenizer,
            video_processor=Qwen3VLVideoProcessor(),
            chat_template=_CHAT,
        ).save_pretrained(target)
    return target


def _write_processor25(folder: Path, added: Sequence[str] = ()) -> Any:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=_pixels(28)),
        tokenizer=write_tokenizer(folder, added=(*_SPECIALS, *added)),
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=_CHAT,
    )
    processor.save_pretrained(folder)
    return processor


def _text(tokenizer: Any, **rope: Any) -> dict[str, Any]:
    rope |= {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    return _TEXT | {"rope_parameters": rope, "pad_token_id": tokenizer.pad_token_id}


def _pixels(side: int) -> dict[str, int]:
    """Every picture is brought to one patch of words."""
    return {"shortest_edge": side * side, "longest_edge": side * side}


def _token_ids(tokenizer: Any) -> dict[str, int]:
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    ids = [tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names]
    fields = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return dict(zip(fields, ids, strict=True))
