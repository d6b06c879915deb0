"""Bytes by URL: get, get a range, put, list. Knows nothing of shards.

``url`` says what a URL is, joins and redacts; ``store`` is the contract; ``registry`` opens a store for a URL. ``local``,
``s3``, ``gcs``, ``azure``, ``oci`` and ``http`` serve schemes, with ``credentials``, ``gcs_login``, ``gcs_auth``,
``azure_login`` and ``azure_url`` beside them; ``compatible``, ``odd_keys`` and ``family`` are for what they share, and
``redirects`` looks where a web server sends us. ``hf``, ``databricks`` and ``oci_native`` use the clients of Hugging Face,
Databricks and Oracle, which ``vendor`` makes anew in each process. ``sftp`` reads and writes with ``sftp_login``,
``sftp_files`` and ``sftp_read``, ``fsspec`` with ``fsspec_system`` and ``fsspec_failures``, and for both ``pool``
keeps connections; ``ranged`` is what stores of users' own begin with, and ``watched`` waits for code that may not
answer; ``network`` tells all clients alike, and ``words`` makes what servers say fit to be shown.
``options`` keeps what a user gives sealed, ``renewing`` asks a function for it, and ``ready`` takes a client
that a user has made; ``remote`` is the store that all network families share, ``spec`` what it takes to build its
client, ``operations`` what is done with that, ``failures`` what becomes of the client's exceptions. ``runtime``
decides where operations run: in this process (``direct``), or in one that ``client`` starts (``helper``) and talks to
by ``wire``, because the network client does not survive a fork. ``gate`` bounds the requests under way. ``target`` is
the local file of a download, ``retry`` the policy, for callers to apply.
"""
