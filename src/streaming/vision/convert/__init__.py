"""Programs that convert public data sets: ``python -m streaming.vision.convert.NAME --help``."""
