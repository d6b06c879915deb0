"""``streaming doctor``: ``packages``, ``machine``, ``logins`` and ``network`` find facts, which ``report`` prints."""
