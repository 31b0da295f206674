# SPDX-License-Identifier: Apache-2.0
"""Tiny models of the remaining flow policies, written to a folder like those of tiny.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig

from .tiny import (
    BEGIN,
    CAMERAS,
    CHUNK,
    END,
    JOINTS,
    PIXELS,
    VOCABULARY,
    common,
    own_weights,
    write_cached_repository,
    write_tokenizer,
)

WAN = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"


def tiny_xvla(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """An XVLAConfig that holds its Florence-2's sizes; its tokenizer is a folder below `folder`."""
    from lerobot.policies.xvla.configuration_xvla import XVLAConfig

    words = folder / "tiny-bart"
    if not words.exists():
        write_tokenizer(words, template=f"{BEGIN} $A {END}")
    vision = {"embed_dim": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "projection_dim": 16}
    vision |= {"num_groups": [1, 2, 2, 2], "window_size": 2, "max_position_embeddings": 4, "max_temporal_embeddings": 4}
    text = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    text |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": VOCABULARY}
    text |= {"max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}
    florence = {"vision_config": vision, "text_config": text, "pad_token_id": 0, "image_token_id": VOCABULARY - 1}
    named = {"florence_config": florence, "tokenizer_name": str(words), "action_mode": "auto"}
    size = {"hidden_size": 16, "depth": 1, "num_heads": 2, "num_domains": 2, "len_soft_prompts": 2, "dim_time": 8}
    size |= {"max_len_seq": 128, "chunk_size": CHUNK, "n_action_steps": 4, "num_denoising_steps": 2}
    size |= {"max_state_dim": 8, "max_action_dim": 8, "resize_imgs_with_padding": (PIXELS, PIXELS)}
    return XVLAConfig(**(common(cameras) | named | size | options))


def tiny_fastwam(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A FastWAMConfig whose UMT5 is a folder below `folder`.

    LeRobot fixes the name of its VAE, which lies in `folder / "hub"`: HF_HUB_CACHE must point there.
    """
    from diffusers import AutoencoderKLWan
    from lerobot.policies.fastwam.configuration_fastwam import FastWAMConfig
    from transformers import UMT5Config, UMT5EncoderModel

    text = folder / "tiny-umt5"
    if not text.exists():
        write_tokenizer(text, template=f"$A {END}")
        size = {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 1, "num_heads": 2, "vocab_size": VOCABULARY}
        with own_weights():
            UMT5EncoderModel(UMT5Config(**size)).save_pretrained(text / "text_encoder")
    vae = write_cached_repository(folder / "hub", WAN) / "vae"
    if not vae.exists():
        size = {"base_dim": 8, "decoder_base_dim": 8, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_dim": 48}
        size |= {"in_channels": 12, "out_channels": 12, "patch_size": 2, "is_residual": True}
        size |= {"scale_factor_spatial": 16, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
        with own_weights():
            AutoencoderKLWan(**size).save_pretrained(vae)
    shared = {"num_heads": 2, "attn_head_dim": 16, "num_layers": 1, "text_dim": 16, "freq_dim": 16, "eps": 0.001}
    shared |= {"use_gradient_checkpointing": False, "action_dim": JOINTS, "ffn_dim": 32}
    video = {"patch_size": [1, 2, 2], "in_dim": 48, "out_dim": 48, "hidden_dim": 32, "seperated_timestep": True}
    video |= {"video_attention_mask_mode": "first_frame_causal", "action_conditioned": False}
    video |= {"action_group_causal_mask_mode": "group_diagonal"}
    named = {"text_encoder_model_id": str(text), "tokenizer_model_id": str(text), "base_model_id": None}
    size = {"action_dim": JOINTS, "proprio_dim": JOINTS, "action_horizon": CHUNK, "n_action_steps": 4}
    size |= {"num_video_frames": 9, "action_video_freq_ratio": 2, "image_size": (PIXELS, PIXELS * len(cameras))}
    size |= {"tokenizer_max_len": 32, "context_len": 32, "num_inference_steps": 2, "torch_dtype": "float32"}
    dits = {"video_dit_config": shared | video, "action_dit_config": shared | {"hidden_dim": 16}}
    return FastWAMConfig(**(common(cameras) | named | size | dits | options))
