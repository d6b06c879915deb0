"""Programs that convert public data sets: ``python -m streaming.multimodal.convert.NAME --help``."""
