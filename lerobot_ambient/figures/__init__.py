# SPDX-License-Identifier: Apache-2.0
"""How figures look, in the report of annotate, in sweeps and in experiments alike."""
