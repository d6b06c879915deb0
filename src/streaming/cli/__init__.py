"""The command line: ``streaming info``, ``head``, ``verify``, ``merge``, ``copy``, ``index``, ``view`` and ``ls``.

``arguments`` says what each command takes, ``main`` parses and reports errors; each command is a module with ``run``,
imported when its command is given (``views`` holds two); ``source`` opens a dataset, ``check`` verifies a shard,
``parallel`` does many at a time, ``output`` prints.
"""
