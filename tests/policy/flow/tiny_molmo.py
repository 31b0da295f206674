# SPDX-License-Identifier: Apache-2.0
"""A tiny MolmoAct2, written to a folder like those of tiny.py."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig

from .tiny import CAMERAS, CHUNK, VOCABULARY, common, own_weights, write_tokenizer

_SIDE, _WIDTH = 28, 32  # Pixels of a picture, four patches of 14; the width of an action is fixed by LeRobot.


def tiny_molmoact2(folder: Path, *, cameras: Sequence[str] = CAMERAS, **options: Any) -> PreTrainedConfig:
    """A MolmoAct2Config of continuous actions, whose checkpoint is a folder below `folder`."""
    from lerobot.policies.molmoact2.configuration_molmoact2 import MolmoAct2Config

    checkpoint = folder / "tiny-molmoact2"
    if not checkpoint.exists():
        _write_checkpoint(checkpoint)
    size = {"chunk_size": CHUNK, "n_action_steps": 4, "num_inference_steps": 2, "max_sequence_length": 1024}
    # LeRobot after 0.6.1 names the type as its other policies do, and leaves a gripper out that names tell it of.
    known = {field.name for field in fields(MolmoAct2Config)}
    dtype = "dtype" if "dtype" in known else "model_dtype"
    named: dict[str, Any] = {"checkpoint_path": str(checkpoint), "action_mode": "continuous", dtype: "float32"}
    if "dataset_feature_names" in known:
        named["normalize_gripper"] = True
    named |= {"inference_action_mode": "continuous", "enable_inference_cuda_graph": False}
    return MolmoAct2Config(**(common(cameras) | named | size | options))


def _write_checkpoint(checkpoint: Path) -> None:
    from lerobot.policies.molmoact2.molmoact2_hf_model.configuration_molmoact2 import MolmoAct2Config
    from lerobot.policies.molmoact2.molmoact2_hf_model.modeling_molmoact2 import MolmoAct2ForConditionalGeneration
    from lerobot.policies.molmoact2.molmoact2_hf_model.processing_molmoact2 import IMAGE_PROMPT, IMAGE_TOKENS

    added = list(dict.fromkeys([IMAGE_PROMPT, *IMAGE_TOKENS, "<action_start>", "<action_end>", "<action_output>"]))
    tokenizer = write_tokenizer(checkpoint, added=added)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4}
    shape |= {"head_dim": 8}
    vision = {"image_default_input_size": [_SIDE, _SIDE], "image_patch_size": 14, "image_num_pos": 4}
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in added}
    config = MolmoAct2Config(
        text_config=shape | {"vocab_size": VOCABULARY, "additional_vocab_size": 8, "num_hidden_layers": 2},
        vit_config=shape | vision | {"num_hidden_layers": 2},
        adapter_config=shape | {"vit_layers": [-1, -2], "text_hidden_size": 32},
        action_expert_config={"hidden_size": 16, "num_layers": 2, "num_heads": 2, "ffn_multiple_of": 16}
        | {"timestep_embed_dim": 16},
        max_action_dim=_WIDTH,
        max_action_horizon=CHUNK,
        image_start_token_id=ids["<im_start>"],
        image_end_token_id=ids["<im_end>"],
        image_patch_id=ids["<im_patch>"],
        image_col_id=ids["<im_col>"],
        low_res_image_start_token_id=ids["<low_res_im_start>"],
        image_low_res_id=ids.get("<im_low>"),
        frame_start_token_id=ids.get("<frame_start>"),
        frame_end_token_id=ids.get("<frame_end>"),
        action_start_token_id=ids["<action_start>"],
        action_end_token_id=ids["<action_end>"],
        eos_token_id=tokenizer.eos_token_id,
    )
    with own_weights():
        MolmoAct2ForConditionalGeneration(config).save_pretrained(checkpoint)
    pictures = {"size": {"height": _SIDE, "width": _SIDE}, "patch_size": 14, "max_crops": 1, "crop_mode": "resize"}
    (checkpoint / "processor_config.json").write_text(json.dumps({"image_processor": pictures}))
