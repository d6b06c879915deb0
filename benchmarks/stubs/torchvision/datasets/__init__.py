"""The one class that is subclassed."""


class VisionDataset: ...
