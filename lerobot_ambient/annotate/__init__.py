# SPDX-License-Identifier: Apache-2.0
"""Finding windows: what of a source looks like the target, at which noise level."""
