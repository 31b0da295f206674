# SPDX-License-Identifier: Apache-2.0
"""Held-out errors that are made up: a table of ratios by level and band, with episodes that scatter about it."""

import numpy as np

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.annotate.heldout.error_map import ErrorMap, MapRule
from lerobot_ambient.annotate.heldout.errors import TARGET, HeldOutErrors
from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence
from lerobot_ambient.annotate.heldout.verdict import judge

SIGMAS = np.array([0.025, 0.15, 0.27, 0.5, 0.86, 1.0])
MAZE = np.array(
    [
        [0.04, 0.15, 0.40, 0.86, 0.91, 1.20],
        [0.16, 0.31, 0.67, 1.26, 2.29, 4.74],
        [0.25, 0.43, 0.69, 1.12, 0.98, 1.07],
        [0.49, 0.69, 0.74, 1.14, 1.04, 1.11],
        [0.91, 1.11, 0.90, 1.21, 1.11, 1.30],
        [0.91, 1.11, 0.90, 1.21, 1.11, 1.30],
    ]
)
"""Co-training in the maze as it was first measured, by hand and with one seed."""
ENERGY = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.005])
"""How the error of the target alone lies over the bands."""


def errors_of(ratios, *, sigmas=SIGMAS, episodes=50, folds=5, scatter=0.1, training=0.0, seed=0, name="cotrain"):
    """`HeldOutErrors` of a design whose true ratio (L, B) is known.

    Args:
        scatter: of an episode's log error, drawn anew for both designs; what they share is three times that.
        training: of a fold's log error, of the second design alone.
    """
    rng = np.random.default_rng(seed)
    levels, bands = ratios.shape
    fold = np.arange(episodes) % folds
    easy = 3 * scatter * rng.standard_normal((episodes, 1, 1))
    energies = {}
    for design, table in ((TARGET, np.ones_like(ratios)), (name, ratios)):
        own = scatter * rng.standard_normal((episodes, levels, bands))
        luck = training * rng.standard_normal(folds)[fold][:, None, None] if design == name else 0.0
        energies[design] = (np.exp(easy + own + luck) * table * ENERGY[:bands])[..., None]
    return HeldOutErrors(sigmas, Bands(16), np.arange(episodes), fold, energies)


NAMES = ("shoulder_pan.pos", "elbow_flex.pos", "gripper.pos")


def evidence_of(read, confirmed=None, *, names=NAMES, fps=10.0, dims=None, source="me/sim", rule=None, **options):
    """`HeldOutEvidence` with the verdict that follows of two tables of ratios (L, B).

    Args:
        read: of the source at every level.
        confirmed: of the source in its window; `read` where that is everything.
        names, fps: of the action dimensions; of several, the error of the last is what the target alone has.
        dims: how many there are.
    """
    rule = rule or MapRule()
    tables = {"cotrain": read} if confirmed is None else {"cotrain": read, "ambient": confirmed}
    dims = len(names) if dims is None else dims
    made = {name: errors_of(table, name=name, seed=k, **options) for k, (name, table) in enumerate(tables.items())}
    one = next(iter(made.values()))
    share = np.linspace(1.0, 2.0, dims)
    energies = {TARGET: one.energies[TARGET] * share}
    for name, errors in made.items():
        # Each design has errors of its own; the last dimension of a design is that of the target.
        ratio = errors.energies[name] / errors.energies[TARGET]
        energies[name] = energies[TARGET] * np.concatenate(
            [ratio] * (dims - 1) + [np.ones_like(ratio) if dims > 1 else ratio], axis=-1
        )
    bands = Bands(16, ActionAxes(names, fps))
    errors = HeldOutErrors(one.sigmas, bands, one.episode, one.fold, energies)
    first = ErrorMap(errors.ratio("cotrain"), rule, bands.names)
    safe, estimate = first.window(safe=True), first.window(safe=False)
    second = None
    if confirmed is not None:
        second = ErrorMap(errors.ratio("ambient"), rule, bands.names)
    elif safe.is_everything:
        second = first
    return HeldOutEvidence(
        *(source, "a small denoiser", 0.5, 1000, errors, "cotrain", None if confirmed is None else "ambient"),
        *(first, second, safe, estimate, judge(first, safe, second)),
    )
