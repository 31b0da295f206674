# SPDX-License-Identifier: Apache-2.0
"""How a study is declared, run and reported: stock commands as resumable stages, tables, figures and promises."""
