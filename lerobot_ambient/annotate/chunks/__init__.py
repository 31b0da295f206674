# SPDX-License-Identifier: Apache-2.0
"""The chunks that windows are estimated from: of a mixture, from arrays, and in the units by which they vary."""
