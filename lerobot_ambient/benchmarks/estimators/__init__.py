# SPDX-License-Identifier: Apache-2.0
"""Whether the estimators of windows find what is known, and what they find on real recordings."""
