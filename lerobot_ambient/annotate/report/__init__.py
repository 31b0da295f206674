# SPDX-License-Identifier: Apache-2.0
"""The report of annotate --report: a page that needs nothing else, and its figures."""
