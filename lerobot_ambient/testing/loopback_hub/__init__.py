# SPDX-License-Identifier: Apache-2.0
"""A Hub on the loopback interface, with faults on demand, and what it keeps."""
