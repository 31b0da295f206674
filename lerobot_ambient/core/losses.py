# SPDX-License-Identifier: Apache-2.0
"""What the network regresses on: the denoising target and the ambient target.

Symbols
    x_0      clean chunk; x_t = sqrt(1 - sigma_t^2) x_0 + sigma_t eps, its noisy version
    x_tmin   the sample noised to its own sigma_min:  sqrt(1 - sigma_min^2) x_0 + sigma_min z
    D        sigma_t^2 - sigma_min^2 > 0
    All levels are VP and broadcast against (B, H, A) chunks.

The denoising target assumes x_0 is trustworthy. The ambient target assumes only that x_tmin is: it is the
unbiased regression target whose conditional mean given x_t is E[x_0 | x_t] (`sample`) or E[eps | x_t]
(`epsilon`), provided x_t was made by adding further noise to x_tmin. Derivation in docs/method.md.

The talk's slide prints sigma_t^2 (1 - sigma_min^2) / (D sqrt(1 - sigma_t^2)) as the x_t coefficient of the
epsilon form. That is an erratum: at sigma_min = 0 it does not give back eps. The coefficient used here,
sigma_t (1 - sigma_min^2) / D, follows from Tweedie's formula and does.
"""

from __future__ import annotations

import torch
from torch import Tensor


def denoising_target(x_0: Tensor, eps: Tensor, prediction_type: str) -> Tensor:
    """The usual DDPM target: `eps` for "epsilon", `x_0` for "sample"; shape of x_0.

    >>> x_0, eps = torch.zeros(4, 16, 2), torch.ones(4, 16, 2)
    >>> bool((la.denoising_target(x_0, eps, "epsilon") == eps).all())
    True
    """
    return {"epsilon": eps, "sample": x_0}[prediction_type]


def renoise(x_tmin: Tensor, sigma_min: Tensor, sigma_t: Tensor, eps: Tensor) -> Tensor:
    """x_t from x_tmin by adding just the missing noise: scale by alpha_t / alpha_min, top up the variance.

    >>> x_tmin, eps = torch.ones(4, 16, 2), torch.zeros(4, 16, 2)
    >>> la.renoise(x_tmin, torch.tensor(0.6), torch.tensor(0.8), eps)[0, 0]
    tensor([0.7500, 0.7500])

    Args:
        x_tmin: (B, H, A) chunk at level sigma_min.
        sigma_min, sigma_t: VP levels broadcastable to it, sigma_min <= sigma_t, sigma_min < 1.
        eps: (B, H, A) standard normal, independent of x_tmin's noise.
    """
    scale = torch.sqrt((1.0 - sigma_t**2) / (1.0 - sigma_min**2))
    return scale * x_tmin + torch.sqrt((sigma_t**2 - (scale * sigma_min) ** 2).clamp_min(0.0)) * eps


def ambient_target(x_tmin: Tensor, x_t: Tensor, sigma_min: Tensor, sigma_t: Tensor, prediction_type: str) -> Tensor:
    """The ambient regression target.

    >>> x_0, eps = torch.randn(4, 16, 2), torch.randn(4, 16, 2)
    >>> sigma_min, sigma_t = torch.tensor(0.0), torch.tensor(0.8)
    >>> x_t = la.renoise(x_0, sigma_min, sigma_t, eps)
    >>> target = la.ambient_target(x_0, x_t, sigma_min, sigma_t, "epsilon")
    >>> torch.allclose(target, eps, atol=1e-6)  # without any sigma_min it is the denoising target
    True

    sample:   (sigma_t^2 sqrt(1 - sigma_min^2) x_tmin - sigma_min^2 sqrt(1 - sigma_t^2) x_t) / D
    epsilon:  (sigma_t (1 - sigma_min^2) x_t - sigma_t sqrt(1 - sigma_t^2) sqrt(1 - sigma_min^2) x_tmin) / D

    Both explode as sigma_t -> sigma_min; a plan built with `Window.buffered` never gets there.

    Args:
        x_tmin, x_t: (B, H, A) chunk at the two levels, x_t made from x_tmin by `renoise`.
        sigma_min, sigma_t: VP levels broadcastable to them, sigma_min < sigma_t.
        prediction_type: "sample" or "epsilon".
    """
    d = sigma_t**2 - sigma_min**2
    alpha_t, alpha_min = torch.sqrt(1.0 - sigma_t**2), torch.sqrt(1.0 - sigma_min**2)
    if prediction_type == "sample":
        return (sigma_t**2 * alpha_min * x_tmin - sigma_min**2 * alpha_t * x_t) / d
    assert prediction_type == "epsilon", prediction_type
    return (sigma_t * alpha_min**2 * x_t - sigma_t * alpha_t * alpha_min * x_tmin) / d


def ambient_pair(x_0: Tensor, z: Tensor, eps: Tensor, r_min: Tensor, inverse_r: Tensor) -> tuple[Tensor, Tensor]:
    """A pair (x_0*, eps*) that a stock training step turns into the ambient target, whatever it regresses on.

    x_t and every usual target (eps, x_0, velocity, v) are linear in (x_0, eps). Given this pair in their place a policy
    noises it to the x_t made from x_tmin, and regresses on the ambient target of its own parameterisation:

        x_0* = x_0 + r_min z - r_min q / sqrt(1 - q^2) eps        eps* = eps / sqrt(1 - q^2)        q = r_min / r_t

    With r_min = 0 it is (x_0, eps). Derivation in docs/method.md.

    >>> x_0, z, eps = (torch.randn(4, 16, 2) for _ in range(3))
    >>> x_star, eps_star = la.ambient_pair(x_0, z, eps, r_min=torch.tensor(0.5), inverse_r=torch.tensor(1.0))
    >>> y_min = x_0 + 0.5 * z  # what is known of the sample, at level r_min = 0.5; x_t is noised further, to r_t = 1
    >>> torch.allclose(x_star + eps_star, y_min + (1.0 - 0.5**2) ** 0.5 * eps, atol=1e-5)
    True

    Args:
        x_0: (B, H, A) clean chunk.
        z: (B, H, A) standard normal, the noise of x_tmin.
        eps: (B, H, A) standard normal, independent of z: the noise drawn by the policy.
        r_min: noise-to-signal ratio of each sample's sigma_min, broadcastable; 0 where the clean chunk is trusted.
        inverse_r: 1 / r_t of each sample's level, which is 0 at pure noise; r_min / r_t < 1.
    """
    q = r_min * inverse_r
    gain = torch.rsqrt(1.0 - q**2)
    return x_0 + r_min * (z - q * gain * eps), gain * eps


def reduce_loss(loss: Tensor, is_pad: Tensor | None, reduction: str, counts: Tensor | None = None) -> Tensor:
    """Reduce an element-wise loss exactly as LeRobot's DiffusionPolicy does.

    Args:
        loss: (B, H, A).
        is_pad: (B, H) True where the action is copy-padding and carries no loss; None counts everything.
        reduction: "mean" gives a scalar, "none" one value per sample (B,); a sample that is all padding is 0.
        counts: (B, A) False for action dimensions the sample's dataset lacks; they carry no loss, and as with
            padding the mean is over what is left. None counts everything.
    """
    if is_pad is None and counts is None:
        return loss.mean() if reduction == "mean" else loss.mean(dim=(1, 2))
    mask = torch.ones_like(loss[..., :1], dtype=torch.bool) if is_pad is None else (~is_pad).unsqueeze(-1)
    if counts is not None:
        mask = mask & counts.unsqueeze(1)
    # (B, H, 1) without `counts`: each entry then stands for all dimensions.
    each = loss.shape[-1] // mask.shape[-1]
    if reduction == "mean":
        return (loss * mask).sum() / (mask.sum() * each).clamp_min(1)
    return (loss * mask).sum(dim=(1, 2)) / (mask.sum(dim=(1, 2)) * each).clamp_min(1)
