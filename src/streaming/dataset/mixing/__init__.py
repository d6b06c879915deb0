"""Mixtures that change during a run: what a user says of them (``schedule``), and their table (``mixture``)."""
