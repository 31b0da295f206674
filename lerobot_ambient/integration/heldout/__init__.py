# SPDX-License-Identifier: Apache-2.0
"""The held-out map's trainings: denoisers with and without each source, and their errors on episodes they never saw."""
