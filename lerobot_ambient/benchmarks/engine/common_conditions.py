# SPDX-License-Identifier: Apache-2.0
"""The conditions that several experiments share."""

from __future__ import annotations

from dataclasses import replace

from lerobot_ambient.benchmarks.engine.condition import AMBIENT_ALPHA, Condition, Sweep

_FINE_TUNING = 0.25
"""Steps of a fine-tuning, as a share of a training's."""
COTRAIN_ALPHA, SIGMA_MIN = "cotrain_alpha", "sigma_min"
"""Names of sweeps."""
ESTIMATES = {
    "spectral": "the spectra of the action chunks",
    "classifier-dataset": "a classifier, one window for the dataset",
    "classifier-bucket": "a classifier, a window for each of 32 clusters of like chunks",
    "classifier-episode": "a classifier, a window for each episode",
    "classifier-datapoint": "a classifier, a window for each chunk",
    "classifier-datapoint-locality": "a classifier, a window for each chunk, with a sigma_max by locality",
    "heldout": "the held-out map, the safe end of its window",
}
"""`estimated_windows.WINDOW_METHODS` in words."""
SELECTIONS = {
    "filtered": "the half of the source that a classifier takes most often for the target",
    "weighted": "chunks of the source drawn by the odds that a classifier gives them to be the target's",
}
"""`score_selection.SELECTIONS` in words."""
_FINE = ("classifier-bucket", "classifier-episode", "classifier-datapoint", "classifier-datapoint-locality")
"""Those that give one source many windows."""


def target_only() -> Condition:
    """Filtering."""
    return Condition("target_only", "Filtering: only the trusted demonstrations.", {"type": "target_only"}, None)


def source_only() -> Condition:
    """The source as if it were the target."""
    summary = "Only the source: what its many demonstrations teach, faults included."
    return Condition("source_only", summary, {"type": "target_only"}, None, trained_on="source")


def cotrain(alpha: float) -> Condition:
    """Co-training; alpha is the target's share."""
    summary = "Co-training: both datasets at every noise level."
    return Condition("cotrain", summary, {"type": "cotrain", "alpha": alpha}, needs=(COTRAIN_ALPHA,))


def ambient(sigma_min: float) -> Condition:
    """Ambient co-training with one window."""
    summary = "Ambient co-training: the source teaches only where noise hides its faults."
    mixing = {"type": "ambient", "alpha": AMBIENT_ALPHA}
    return Condition("ambient", summary, mixing, {"sigma_min": sigma_min}, needs=(SIGMA_MIN,))


def omni(sigma_max: float, alpha: float = AMBIENT_ALPHA) -> Condition:
    """Ambient omni: the source below a sigma_max only."""
    summary = "Ambient omni: the source teaches only below sigma_max, where motion is local."
    return Condition("omni", summary, {"type": "ambient", "alpha": alpha}, {"sigma_min": 1.0, "sigma_max": sigma_max})


def soft() -> Condition:
    """The talk's first remedy: a share of the target that is linear in the noise level."""
    summary = "Soft ambient: the target's share falls linearly with the noise level."
    return Condition("soft", summary, {"type": "soft", "sigmas": [0.0, 1.0], "clean_shares": [1.0, 0.2]})


def by_size(ambient: Condition) -> Condition:
    """The same windows without alpha."""
    summary = f"{ambient.summary} The two share a level by their numbers of frames (alpha null)."
    return replace(ambient, name=f"{ambient.name}:by-size", summary=summary, mixing={**ambient.mixing, "alpha": None})


def default_network(condition: Condition) -> Condition:
    """The same under the package's defaults: LeRobot's U-Net predicts the noise of absolute chunks."""
    network = {
        "denoiser": "unet",
        "down_dims": [32, 64, 128],
        "prediction_type": "epsilon",
        "relative_actions": False,
        "optimizer_lr": 5.0e-4,
    }
    summary = f"{condition.summary} With LeRobot's U-Net, small, which predicts the noise of absolute actions."
    return replace(condition, name=f"{condition.name}:unet", summary=summary, policy={**condition.policy, **network})


def pretrained_then_tuned() -> list[Condition]:
    """Pretraining on all frames alike, then fine-tuning on the target alone, in as many steps together as any arm."""
    pretraining = Condition(
        "cotrain:pretraining",
        "Pretraining: every frame of both datasets alike, at every noise level, for three quarters of the steps.",
        {"type": "cotrain"},
        steps=1.0 - _FINE_TUNING,
    )
    return [pretraining, replace(fine_tuned(pretraining), name="cotrain:pretrained-tuned")]


def exclusive(sigma_min: float) -> Condition:
    """Exclusive bands."""
    summary = "Exclusive bands: the source alone above sigma_min, the target alone below (an ablation)."
    return Condition("exclusive", summary, {"type": "exclusive"}, {"sigma_min": sigma_min}, needs=(SIGMA_MIN,))


def front(sweep: Sweep) -> list[Condition]:
    """Every value of a sweep as an arm of its own, e.g. cotrain:0.5: the whole front, not one point of it."""
    made = [(value, sweep.condition(value)) for value in sweep.values]
    return [replace(condition, name=f"{condition.name}:{value:g}", needs=()) for value, condition in made]


def estimated(method: str) -> Condition:
    """Ambient co-training with estimated windows.

    Where a source has many windows, only a part of it is admitted at low levels. A fixed `alpha` would give that part
    the whole share of the source and repeat it often. So the shares follow the sizes, with a weight of the source that
    makes the target's share the same alpha where all of the source is admitted.
    """
    summary = f"Ambient co-training; the windows come from {ESTIMATES[method]}, without rollouts."
    if method not in _FINE:
        mixing = {"type": "ambient", "alpha": AMBIENT_ALPHA}
        return Condition(f"ambient:{method}", summary, mixing, windows=method)
    return Condition(
        f"ambient:{method}", summary, {"type": "ambient", "alpha": None}, windows=method, share=AMBIENT_ALPHA
    )


def estimated_once(data: str, method: str) -> Condition:
    """The windows of a method for the source of a pair, estimated on one draw of the target."""
    return replace(estimated(method), name=f"ambient:{data}-{method}", data=data, windows_once=True)


def selected(method: str, alpha: float) -> Condition:
    """Co-training with a part of the source that a classifier's scores choose; alpha is the target's share."""
    summary = f"Co-training with {SELECTIONS[method]}, at every noise level."
    # A mixing of type cotrain would ignore the windows, which say which chunks are kept.
    mixing = {"type": "ambient", "alpha": alpha}
    return Condition(f"cotrain:{method}", summary, mixing, windows=f"classifier-{method}", needs=(COTRAIN_ALPHA,))


def with_ambient_loss(condition: Condition) -> Condition:
    """The same with the ambient loss."""
    summary = f"{condition.summary} With the ambient loss."
    policy = {**condition.policy, "ambient_loss": True}
    return replace(condition, name=f"{condition.name}:ambient-loss", summary=summary, policy=policy)


def fine_tuned(base: Condition) -> Condition:
    """The policy of another condition, trained on with the target alone."""
    summary = f"Fine-tuning on the target alone (--policy.path), from the policy of the arm {base.name}."
    return Condition(
        f"{base.name}:finetuned",
        summary,
        {"type": "target_only"},
        None,
        base=base.name,
        steps=_FINE_TUNING,
        needs=base.needs,
    )


def on(data: str, condition: Condition) -> Condition:
    """The same condition on another pair of datasets."""
    return replace(condition, name=f"{condition.name}:{data}", data=data)
