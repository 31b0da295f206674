# SPDX-License-Identifier: Apache-2.0
"""What a training run tells of itself: held-out losses by noise level and source, a metrics file, its figure."""
