"""Other datasets whose rows belong to a stream's: ``keys`` finds rows that belong together.

``links`` is how the reading goes: which shards of the sides a sample needs, and a sample made of all of them.
"""
