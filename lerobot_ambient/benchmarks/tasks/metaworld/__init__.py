# SPDX-License-Identifier: Apache-2.0
"""Meta-World with its low-dimensional state: expert demonstrations, and others with planted faults."""
