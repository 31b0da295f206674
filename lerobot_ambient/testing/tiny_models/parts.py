# SPDX-License-Identifier: Apache-2.0
"""What the tiny models share: a tokenizer of single bytes, weights that are always the same, and an arm's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig

JOINTS = 6
CHUNK = 8
PIXELS = 32
CAMERAS = ("observation.images.front", "observation.images.wrist")
STATE, ACTION = "observation.state", "action"

# Ids 0 to 3, so that no model takes its historical path for an end of text of 2.
PAD, BEGIN, UNKNOWN, END = "<pad>", "<bos>", "<unk>", "<eos>"
VOCABULARY = 320
"""Rows of every embedding of words: 4 special tokens, 256 bytes, and room for what a processor adds."""


def features(cameras: Sequence[str] = CAMERAS, pixels: int = PIXELS) -> dict[str, dict[str, PolicyFeature]]:
    """`input_features` and `output_features` of an arm with six joints."""
    pictures = {camera: PolicyFeature(FeatureType.VISUAL, (3, pixels, pixels)) for camera in cameras}
    state = {STATE: PolicyFeature(FeatureType.STATE, (JOINTS,))}
    return {
        "input_features": {**state, **pictures},
        "output_features": {ACTION: PolicyFeature(FeatureType.ACTION, (JOINTS,))},
    }


def common(cameras: Sequence[str] = CAMERAS) -> dict[str, Any]:
    """The options that every tiny configuration shares."""
    return {**features(cameras), "device": "cpu", "push_to_hub": False}


def statistics(config: PreTrainedConfig) -> dict[str, dict[str, torch.Tensor]]:
    """What `dataset.meta.stats` holds for these features, as if they were of unit variance."""
    stats: dict[str, dict[str, torch.Tensor]] = {}
    for key, feature in {**config.input_features, **config.output_features}.items():
        shape = (3, 1, 1) if feature.type is FeatureType.VISUAL else feature.shape
        one = torch.ones(shape)
        centre = 0.5 * one if feature.type is FeatureType.VISUAL else 0 * one
        low_high = {"min": -3 * one, "max": 3 * one, "q01": -2 * one, "q99": 2 * one, "q10": -one, "q90": one}
        stats[key] = {"mean": centre, "std": one, **low_high}
    return stats


def write_tokenizer(
    folder: Path,
    *,
    template: str | None = None,
    named: dict[str, str] | None = None,
    added: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Save a tokenizer of single bytes, so that different tasks are different tokens, and return it.

    `template` is what surrounds a text; `named` gives special tokens with an attribute's name, `added` without one.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = [PAD, BEGIN, UNKNOWN, END]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*specials, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if template is not None:
        ids = [(token, vocabulary[token]) for token in specials]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        unk_token=UNKNOWN,
        eos_token=END,
        extra_special_tokens=named or {},
        **options,
    )
    fast.add_tokens(list(added), special_tokens=True)
    assert len(fast) <= VOCABULARY, f"{len(fast)} tokens do not fit the tiny vocabulary of {VOCABULARY}"
    fast.save_pretrained(folder)
    (folder / "config.json").write_text("{}")  # AutoTokenizer asks for one; a model saved beside it writes its own.
    return fast


@contextmanager
def own_weights() -> Iterator[None]:
    """The same weights in every process, whatever the global generator did before; it is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
