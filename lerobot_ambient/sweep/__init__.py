# SPDX-License-Identifier: Apache-2.0
"""A search over windows and options with Optuna, whose trials are stock trainings and evaluations."""
