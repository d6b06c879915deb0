"""Programs that convert public data sets: ``python -m streaming.text.convert.NAME --help``."""
