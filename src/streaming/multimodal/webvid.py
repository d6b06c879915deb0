"""WebVid: videos and their captions, with the videos in the shards or beside them."""

from __future__ import annotations

import os
import time
from typing import Any

from typing_extensions import Unpack

from streaming.core.errors import ConfigError
from streaming.core.process.lock import MOMENT_S, locked_part
from streaming.dataset.convenience import ConvenienceArguments, ConvenienceDataset, takes_arguments_of
from streaming.dataset.dataset import StreamingDataset
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.url import check_path

__all__ = ["StreamingInsideWebVid", "StreamingOutsideDTWebVid", "StreamingOutsideGIWebVid"]


class StreamingInsideWebVid(StreamingDataset):
    """WebVid with the videos in the shards, in the column ``content``. Arguments as ``StreamingDataset``'s.

    Example:
        >>> from streaming.multimodal import StreamingInsideWebVid
        >>> StreamingInsideWebVid(local='videos', batch_size=4)[0]['caption']
        'a cat'
    """


@takes_arguments_of(ConvenienceDataset)
class StreamingOutsideGIWebVid(ConvenienceDataset):
    """WebVid with the videos as files of their own, fetched when a sample is read.

    Args:
        extra_local: Directory for the videos.
        extra_remote: URL or path of the videos. The column ``content_path`` says where below it a video is.
        kwargs: See :class:`streaming.dataset.convenience.ConvenienceDataset`.

    Without ``extra_local`` and ``extra_remote``, samples have no video. Videos are not counted by ``cache_limit``.

    Example:
        >>> from pathlib import Path
        >>> from streaming.multimodal import StreamingOutsideGIWebVid
        >>> _ = Path('a.mp4').write_bytes(b'frames')
        >>> StreamingOutsideGIWebVid(local='videos', extra_local='cache', extra_remote='.')[0]['content']
        b'frames'
    """

    def __init__(
        self,
        *,
        extra_local: str | None = None,
        extra_remote: str | None = None,
        **kwargs: Unpack[ConvenienceArguments],
    ) -> None:
        super().__init__(**kwargs)
        if (extra_local is None) != (extra_remote is None):
            raise ConfigError("extra_local and extra_remote belong together: give both or neither.")
        self.extra_local = extra_local
        self.extra_remote = extra_remote
        stream = self.streams[0].fetch_config
        self._timeout_s = stream.download_timeout
        self._policy = RetryPolicy(attempts=stream.download_retry + 1)

    def get_item(self, sample_id: int, retry: int = 7) -> dict[str, Any]:
        """Return a sample, its video as bytes in ``content``.

        Raises:
            StorageError: The video could not be fetched.
        """
        sample: dict[str, Any] = super().get_item(sample_id, retry)
        if self.extra_local is not None and self.extra_remote is not None:
            sample["content"] = self._content(self.extra_local, self.extra_remote, check_path(sample["content_path"]))
        return sample

    def _content(self, local: str, remote: str, name: str) -> bytes:
        path = os.path.join(local, name)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with locked_part(f"{path}.part", self._policy.attempts * self._timeout_s + MOMENT_S) as part:
                if not os.path.exists(path):
                    store = open_store(remote)
                    call_with_retries(
                        lambda: store.download(name, part, stall_timeout=self._timeout_s), self._policy, time.sleep
                    )
                    os.replace(part, path)
        with open(path, "rb") as file:
            return file.read()


class StreamingOutsideDTWebVid(StreamingOutsideGIWebVid):
    """The same under another name. Arguments as :class:`StreamingOutsideGIWebVid`'s.

    Example:
        >>> from streaming.multimodal import StreamingOutsideDTWebVid
        >>> StreamingOutsideDTWebVid(local='videos')[0]['caption']
        'a cat'
    """
