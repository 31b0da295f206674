# SPDX-License-Identifier: Apache-2.0
"""How a study is declared and run: stock commands as resumable stages, intervals over trainings and layouts, claims."""
