# SPDX-License-Identifier: Apache-2.0
"""Block sorting: few demonstrations that decide right and many that do not."""
