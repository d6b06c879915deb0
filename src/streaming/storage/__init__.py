"""Bytes by URL: get, get a range, put, list. Knows nothing of shards.

The modules here are the contract: ``location`` is a place, taken apart once where a user names it, by what ``url`` knows of
URLs; ``store`` is what a store can do, and ``registry`` opens one for a place; ``options`` keeps what a user gives sealed,
``renewing`` asks a function for it. ``target`` is the local file of a download, ``versions`` reads one version of an object,
``retry`` is the policy, for callers to apply, ``watched`` waits for code that may not answer, ``network`` tells all clients
alike of proxies and certificates, and ``words`` makes what servers say fit to be shown. Stores of users' own begin with
``ranged``.

The rooms: ``providers`` has the stores, ``logins`` finds credentials, ``helper`` is where network operations run.
"""
