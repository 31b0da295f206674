# SPDX-License-Identifier: Apache-2.0
"""What the verb `annotate` consists of: its options and their checks, what it prints, and where it writes."""
