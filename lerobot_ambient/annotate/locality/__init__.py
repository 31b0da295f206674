# SPDX-License-Identifier: Apache-2.0
"""How far the denoiser looks, crops of that length, and up to which level they are alike: sigma_max."""
