"""The command line: ``streaming info``, ``head``, ``verify``, ``merge``, ``copy`` and ``ls``.

``main`` parses and reports errors; each command is a module with ``add_arguments`` and ``run``, imported when its
command is given; ``source`` opens a dataset, ``check`` verifies a shard, ``output`` prints.
"""
