"""Bytes by URL: get, get a range, put, list. Knows nothing of shards.

``url`` joins and redacts URLs; ``store`` is the contract; ``registry`` opens a store for a URL; ``local``, ``s3``,
``gcs``, ``azure``, ``oci`` and ``http`` serve schemes, with ``credentials``, ``gcs_login``, ``azure_login`` and
``azure_url`` beside them, and ``compatible`` and ``family`` for what they share; ``hf`` and ``databricks`` (with
``databricks_login``) speak HTTP by ``rest``; ``sftp`` does with ``sftp_login``,
``sftp_files`` and ``sftp_read``, ``fsspec`` with ``fsspec_system`` and ``fsspec_failures``, and for both ``pool``
keeps connections; ``ranged`` is what stores of users' own begin with, and ``watched`` waits for code that may not
answer; ``options`` keeps what a user gives sealed, ``renewing`` asks a function for it, and ``ready`` takes a client
that a user has made; ``remote`` is the store that all network families share, ``spec`` what it takes to build its
client, ``operations`` what is done with that, ``failures`` what becomes of the client's exceptions. ``runtime``
decides where operations run: in this process (``direct``), or in one that ``client`` starts (``helper``) and talks to
by ``wire``, because the network client does not survive a fork. ``gate`` bounds the requests under way. ``target`` is
the local file of a download, ``retry`` the policy, for callers to apply.
"""
