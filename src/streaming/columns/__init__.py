"""Side columns: a Parquet file with one row a sample, beside a dataset or apart from it, and SQL over it.

``side`` is the handle that others hold, ``opening`` fetches and checks a file, ``query`` asks DuckDB, ``parquet`` reads and
writes files. ``expressions`` says what a column of the file is made of, ``projection`` takes it out of shards. pyarrow and
DuckDB are imported on first use, and have no thread of theirs left when a call returns.
"""
