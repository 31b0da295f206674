# SPDX-License-Identifier: Apache-2.0
"""Small datasets with the schema of a public one, in the place of terabytes."""
