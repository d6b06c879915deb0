"""What the commands take that write something."""

from __future__ import annotations

from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_jobs, add_options, positive

__all__ = ["add_convert", "add_copy", "add_export", "add_index", "add_merge", "add_view"]


def add_convert(commands: Any) -> None:
    """Add ``convert``."""
    convert = add_command(
        commands,
        "convert",
        "write what another program has written to a dataset",
        "Parquet, Arrow, JSON lines,\nCSV, text, WebDataset tars, folders of images, sounds or videos, datasets of the\n"
        "Hugging Face Hub, litdata's chunks, TFRecords, NumPy's files, and datasets of this library, to\n"
        "cut, compress or sort them anew. FROM is a file, a directory, or a pattern of names in quotes.\n"
        "Repeat a command that was stopped, and it continues.",
        "  streaming convert 's3://lake/web/*.parquet' s3://bucket/web --columns text,url\n"
        "  streaming convert texts.jsonl.gz tokens --tokenizer tokenizer.json --compression zstd\n"
        "  streaming convert delta+s3://lake/pages s3://bucket/pages --at 12\n"
        "  streaming convert photos s3://bucket/photos --dry-run",
    )
    convert.add_argument("source", metavar="FROM", help="files of another format, on disk or in a store")
    convert.add_argument("target", metavar="TO", help="a directory or URL")
    convert.add_argument("--format", metavar="NAME", help="format of FROM (default: by names and contents)")
    convert.add_argument(
        "--columns", metavar="LIST", help="columns to keep, joined by commas; NAME=ENCODING sets one's"
    )
    convert.add_argument(
        "--tokenizer", metavar="NAME", help="make tokens of text: a tokenizer.json, or a name at the Hub"
    )
    convert.add_argument("--text", metavar="COLUMN", default="text", help="the column of text (default: text)")
    convert.add_argument("--schema", choices=("same", "union"), help="union: files may have different columns")
    convert.add_argument("--split", metavar="NAME", help="which split of FROM")
    convert.add_argument("--config", metavar="NAME", help="which configuration of a dataset of the Hub")
    convert.add_argument("--at", dest="version", metavar="VERSION", help="version of a table (default: the newest)")
    convert.add_argument("--labels", metavar="FILE", help="table of what is known of the files of a folder")
    convert.add_argument("--sort", metavar="COLUMN", help="sort the samples of a dataset of this library")
    convert.add_argument("--compression", metavar="NAME", help="such as zstd or zstd:7")
    convert.add_argument("--hashes", metavar="LIST", help="hash algorithms to record, joined by commas, such as xxh64")
    convert.add_argument("--size-limit", metavar="SIZE", default="64mb", help="largest size of a shard (default: 64mb)")
    convert.add_argument("--compatible", action="store_true", help="refuse columns that mosaicml-streaming cannot read")
    convert.add_argument(
        "--skip", action="store_true", help="leave out files and rows that cannot be read, and list them"
    )
    convert.add_argument(
        "--engine",
        metavar="NAME",
        default="local",
        help="ray, dask or spark: the cluster that RAY_ADDRESS or DASK_SCHEDULER_ADDRESS names, or one of this machine",
    )
    convert.add_argument("--force", action="store_true", help="replace the dataset that is at TO")
    convert.add_argument(
        "--dry-run", action="store_true", help="show columns, first samples, size and time, and write nothing"
    )
    add_options(convert, "--from-option", None, "from_options", "setting of the store of FROM alone")
    add_options(convert, "--to-option", None, "to_options", "setting of the store of TO alone")
    convert.add_argument("-j", "--jobs", type=positive, metavar="N", help="processes (default: one for each core)")


def add_export(commands: Any) -> None:
    """Add ``export``."""
    export = add_command(
        commands,
        "export",
        "write a dataset to files that other programs read",
        "A file a shard, of\nParquet, JSON lines or WebDataset's tars; or a folder of the files of one column. Repeat a\n"
        "command that was stopped, and it continues.",
        "  streaming export /data/corpus /data/corpus-parquet\n"
        "  streaming export s3://bucket/photos tars --format webdataset --columns image,label",
    )
    export.add_argument("source", metavar="FROM", help=URL)
    export.add_argument("target", metavar="TO", help="a directory or URL")
    export.add_argument(
        "--format",
        default="parquet",
        choices=("parquet", "jsonl", "jsonl.gz", "jsonl.zst", "webdataset", "folder"),
        help="what to write (default parquet)",
    )
    export.add_argument("--columns", metavar="LIST", help="columns to export, joined by commas (default: all)")
    export.add_argument(
        "--force", action="store_true", help="write to a place that has files; those of the same names are replaced"
    )
    add_options(export, "--from-option", None, "from_options", "setting of the store of FROM alone")
    add_options(export, "--to-option", None, "to_options", "setting of the store of TO alone")
    export.add_argument("-j", "--jobs", type=positive, metavar="N", help="processes (default: one for each core)")


def add_merge(commands: Any) -> None:
    """Add ``merge``."""
    merge = add_command(
        commands,
        "merge",
        "write one index for several datasets",
        "Shards stay where they are.\n\n"
        "  ROOT                  every dataset in the directories below it\n"
        "  PART ... --out ROOT   these, in this order; they should be below ROOT",
        "  streaming merge /data/corpus\n"
        "  streaming merge s3://bucket/all/2023 s3://bucket/all/2024 --out s3://bucket/all",
    )
    merge.add_argument("urls", metavar="URL", nargs="+", help=URL)
    merge.add_argument("--out", metavar="ROOT", help="where the merged index goes")


def add_copy(commands: Any) -> None:
    """Add ``copy``."""
    copy = add_command(
        commands,
        "copy",
        "copy a dataset",
        "Hashes are checked on the way, and the index comes last, so that\n"
        "nobody reads half a dataset. A copy that was stopped continues when the command is\n"
        "repeated: files that are complete at TO are left out.",
        "  streaming copy /data/corpus s3://bucket/corpus\n"
        "  streaming copy sftp://me@host/corpus gs://bucket/corpus --from-option key_file=key",
    )
    copy.add_argument("source", metavar="FROM", help=URL)
    copy.add_argument("target", metavar="TO", help="a directory or URL")
    copy.add_argument(
        "--force",
        action="store_true",
        help="copy every file, and replace another dataset, or other files, at TO",
    )
    add_options(copy, "--from-option", None, "from_options", "setting of the store of FROM alone")
    add_options(copy, "--to-option", None, "to_options", "setting of the store of TO alone")
    add_jobs(copy)


def add_index(commands: Any) -> None:
    """Add ``index``."""
    index = add_command(
        commands,
        "index",
        "write columns of a dataset for SQL, or look into files of other formats",
        "A row a sample,\nin their order. Every shard is read once. A run that was stopped continues when\n"
        "the command is repeated. Without --columns: how many rows the files of another\n"
        "format have, and where, for index= of a dataset that is read in place.",
        "  streaming index /data/corpus --columns 'source,n_tokens=len(tokens)' --beside\n"
        "  streaming index s3://bucket/corpus --columns age,sex --out s3://bucket/index\n"
        "  streaming index 's3://lake/web/*.parquet' --out s3://mine/web\n"
        "  streaming index delta+s3://lake/pages --at 12 --out s3://mine/pages",
    )
    index.add_argument("url", metavar="URL", help=URL)
    index.add_argument(
        "--columns",
        metavar="LIST",
        help="columns or len(column), joined by commas; NAME= before one names it",
    )
    index.add_argument(
        "--format", metavar="NAME", help="format of files that are read in place (default: by their names)"
    )
    index.add_argument("--config", metavar="NAME", help="configuration of a dataset of the Hugging Face Hub")
    index.add_argument("--split", metavar="NAME", help="its split")
    index.add_argument("--at", dest="version", metavar="VERSION", help="version of a table (default: the newest)")
    index.add_argument(
        "--out",
        metavar="PLACE",
        help="a directory or URL for columns.parquet, or a name ending in .parquet; or for what is in files",
    )
    index.add_argument("--beside", action="store_true", help="write columns.parquet beside the dataset's index.json")
    index.add_argument("-j", "--jobs", type=positive, metavar="N", help="processes (default: one for each core)")


def add_view(commands: Any) -> None:
    """Add ``view``."""
    view = add_command(
        commands,
        "view",
        "show what a saved view keeps, or which there are",
        "A directory's views are\nthe files below it that end with .view. No dataset is asked.",
        "  streaming view s3://bucket/views/old.view\n  streaming view /data/views",
    )
    view.set_defaults(module="views.show")
    view.add_argument("url", metavar="URL", help="the file of a view, or a directory; a path or a URL")
    make = add_command(
        commands,
        "view make",
        "save which samples of a dataset a condition is true for",
        "Reads the index and\nthe side columns, which `streaming index` makes; nothing is written but OUT.",
        "  streaming view make /data/notes --where 'age > 60' --out old.view\n"
        "  streaming view make s3://bucket/notes --where \"sex = 'F'\" --out s3://mine/women.view\\\n"
        "      --side-columns s3://mine/columns.parquet",
    )
    make.set_defaults(module="views.make")
    make.add_argument("url", metavar="URL", help=URL)
    make.add_argument("--where", required=True, metavar="SQL", help="what follows WHERE, over the side columns")
    make.add_argument(
        "--out", required=True, metavar="OUT", help="the file to write, such as NAME.view; a path or a URL"
    )
    make.add_argument(
        "--side-columns", metavar="PLACE", help="the file of them (default: columns.parquet beside the index)"
    )
