# SPDX-License-Identifier: Apache-2.0
"""What policies do inside: how they denoise, and where they decide."""
