# SPDX-License-Identifier: Apache-2.0
"""The held-out map: where a source lowers or raises the error of denoising target chunks, and what follows of it."""
