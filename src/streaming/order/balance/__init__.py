"""Equal work on every rank: samples of like cost come in the same step, within windows of some steps.

``windows`` says which positions change places with each other, ``deal`` how, and ``epoch`` is an order so changed. Nothing
is exchanged between processes: what a window holds, and what its samples cost, every rank knows.
"""
