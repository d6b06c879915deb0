"""The orders of the original library, bit for bit: ``py1s``, ``py2s``, ``py1br``, ``py1e``, ``naive`` and no shuffle.

They materialise the epoch: set-up and memory grow with its samples.
"""
