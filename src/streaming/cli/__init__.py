"""The command line: ``streaming COMMAND``.

``arguments`` says what each command takes and its help; ``main`` parses and reports errors. Each command is a module of
``commands`` with ``run(args) -> int``, imported when its command is given. ``reading`` opens datasets, ``shell`` prints.
To add a command: its arguments with ``add_command`` in a module of ``arguments``, named in ``arguments.all``, and
``commands/NAME.py``.
"""
