# SPDX-License-Identifier: Apache-2.0
"""A SmolVLA of a few thousand random weights, and a checkpoint of it, in the place of `lerobot/smolvla_base`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig

from lerobot_ambient.testing.tiny_models.parts import (
    CAMERAS,
    CHUNK,
    PIXELS,
    VOCABULARY,
    common,
    own_weights,
    statistics,
    write_tokenizer,
)


def tiny_smolvla(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A SmolVLAConfig whose SmolVLM is a folder below `folder`."""
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    # Its lazy modules hide from a type checker what they hold.
    models: Any = import_module("transformers")

    vlm = folder / "tiny-smolvlm"
    if not vlm.exists():
        named = {
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        }
        tokenizer = write_tokenizer(vlm, named=named)
        text: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
        text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY, "model_type": "llama"}
        text |= {"pad_token_id": tokenizer.pad_token_id}
        vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision |= {"image_size": PIXELS, "patch_size": 8}
        image_token = tokenizer.convert_tokens_to_ids("<image>")
        config = models.SmolVLMConfig(
            text_config=text,
            vision_config=vision,
            scale_factor=2,
            image_token_id=image_token,
            pad_token_id=tokenizer.pad_token_id,
        )
        with own_weights():
            models.SmolVLMForConditionalGeneration(config).save_pretrained(vlm)
        models.SmolVLMProcessor(
            image_processor=models.SmolVLMImageProcessor(),
            tokenizer=tokenizer,
            video_processor=models.SmolVLMVideoProcessor(),
            image_seq_len=4,
        ).save_pretrained(vlm)
    size = {"num_vlm_layers": 2, "chunk_size": CHUNK, "n_action_steps": 4, "num_steps": 2}
    chosen: dict[str, Any] = {
        "vlm_model_name": str(vlm),
        "load_vlm_weights": False,
        "resize_imgs_with_padding": (PIXELS, PIXELS),
    }
    return SmolVLAConfig(**(common(cameras) | size | chosen | options))


def write_tiny_smolvla(folder: str | Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> Path:
    """Write a checkpoint of LeRobot's own SmolVLA: what `--policy.path` and `from_pretrained` take.

    Args:
        folder: of the checkpoint and of its backbone; made when needed, replaced where it is there.
        cameras: the keys of its cameras.
        options: of SmolVLAConfig, such as `chunk_size=50`.

    Returns:
        The folder of the checkpoint, below `folder`.
    """
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    folder = Path(folder)
    config = tiny_smolvla(folder, cameras=cameras, **options)
    with own_weights():
        policy = SmolVLAPolicy(config)
    checkpoint = folder / "checkpoint"
    policy.save_pretrained(checkpoint)
    for processor in make_pre_post_processors(config, dataset_stats=statistics(config)):
        processor.save_pretrained(checkpoint)
    return checkpoint
