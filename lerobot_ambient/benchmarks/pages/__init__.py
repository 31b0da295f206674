# SPDX-License-Identifier: Apache-2.0
"""What a study found, on paper: the results JSON, the page with its table and promises, the figures."""
