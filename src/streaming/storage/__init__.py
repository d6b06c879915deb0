"""Bytes by URL: get, get a range, put, list. Knows nothing of shards.

``url`` joins and redacts URLs; ``store`` is the contract; ``registry`` opens a store for a URL; ``local``, ``s3`` and
``http`` serve schemes; ``remote`` is the store all network families share; ``runtime`` decides where its operations
run: here (``direct``) or in the process that ``client`` starts (``helper``), because the network client does not survive
a fork; ``operations`` are those operations; ``failures`` translates what the client raises; ``retry`` is the policy.
"""
