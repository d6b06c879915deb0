"""Other datasets made of one: some of its samples, its parts, something made of its samples; no byte is rewritten.

``api`` is what a dataset offers; ``choosing`` turns what a user says into selections; ``saved`` keeps views in files, and
``transforms`` is the class of a dataset whose samples go through functions.
"""
