# SPDX-License-Identifier: Apache-2.0
"""Classifiers of noised chunks: folds, training, what they say of held-out chunks, and the curves made of it."""
