"""Sound and video files as they come out of a dataset: bytes, of which a part is decoded when it is asked for.

Sounds are decoded by torchcodec, soundfile or PyAV, videos by torchcodec or PyAV, whichever is installed, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from io import BytesIO
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ColumnValueError, ConfigError, MissingDependencyError

__all__ = ["Audio", "Video"]

#: What soundfile says of a format that it does not know, as that of ``.m4a``, which PyAV does.
_NOT_RECOGNISED = 1


class Audio(bytes):
    """A sound file: its bytes, which :meth:`samples` decodes.

    Example:
        >>> from streaming.format.media import Audio
        >>> Audio(b'RIFF...')[:4]
        b'RIFF'
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return it for people: without the bytes."""
        return f"<Audio of {len(self):,} bytes>"

    @property
    def rate(self) -> int:
        """Samples a second.

        Raises:
            ColumnValueError: The bytes are those of no sound file.
            MissingDependencyError: No decoder is installed.
        """
        return self.samples(0.0, 0.0)[1]

    def samples(self, begin_s: float = 0.0, end_s: float | None = None) -> tuple[NDArray[np.float32], int]:
        """Decode the sound, or a part of it.

        Args:
            begin_s: From when, in seconds.
            end_s: Until when; ``None``: its end.

        Returns:
            ``float32[frames, channels]`` from -1 to 1, and how many frames a second has.

        Raises:
            ConfigError: That is no range.
            ColumnValueError: The bytes are those of no sound file.
            MissingDependencyError: No decoder is installed.

        Example:
            >>> from streaming.format.media import Audio
            >>> samples, rate = Audio(wav).samples(0.5, 1.0)
            >>> samples.shape, rate
            ((4000, 1), 8000)
        """
        _check_range(begin_s, end_s)
        name, decoder = _decoder("torchcodec.decoders", "soundfile", "av")
        with _reporting("sound", name):
            return _AUDIO[name](decoder, self, begin_s, end_s)


class Video(bytes):
    """A video file: its bytes, which :meth:`frames` decodes.

    Example:
        >>> from streaming.format.media import Video
        >>> len(Video(b'....ftyp'))
        8
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return it for people: without the bytes."""
        return f"<Video of {len(self):,} bytes>"

    def frames(self, begin_s: float = 0.0, end_s: float | None = None) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Decode the frames that are shown in a range of time.

        Args:
            begin_s: The first frame is the first at or after this, in seconds.
            end_s: The last is before this; ``None``: the video's end.

        Returns:
            ``uint8[n, height, width, 3]`` in RGB, and ``float64[n]``: when each is shown, in seconds.

        Raises:
            ConfigError: That is no range.
            ColumnValueError: The bytes are those of no video file.
            MissingDependencyError: No decoder is installed.

        Example:
            >>> from streaming.format.media import Video
            >>> pixels, times = Video(mp4).frames(0.2, 0.6)
            >>> pixels.shape, times.tolist()
            ((4, 16, 32, 3), [0.2, 0.3, 0.4, 0.5])
        """
        _check_range(begin_s, end_s)
        name, decoder = _decoder("torchcodec.decoders", "av")
        with _reporting("video", name):
            return _VIDEO[name](decoder, self, begin_s, end_s)


def _check_range(begin_s: float, end_s: float | None) -> None:
    try:
        fits = 0 <= begin_s < inf and (end_s is None or begin_s <= end_s)
    except TypeError:
        fits = False
    if not fits:
        raise ConfigError(
            f"begin_s and end_s are seconds from 0 on, the first not behind the other; got {begin_s!r}, {end_s!r}."
        )


def _decoder(*names: str) -> tuple[str, Any]:
    """Return the first module that is there and works.

    Raises:
        MissingDependencyError: None is.
    """
    for name in names:
        with suppress(ImportError, OSError, RuntimeError):  # torchcodec is there and finds no library of FFmpeg's
            return name, import_module(name)
    raise MissingDependencyError(
        f"Decoding sound and video needs one of {', '.join(name.partition('.')[0] for name in names)}. "
        "Install it with: pip install 'streaming-dataset[media]'"
    )


@contextmanager
def _reporting(what: str, decoder: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ColumnValueError(f"no {what} file that {decoder} can decode: {error}") from error


def _audio_torchcodec(decoders: Any, data: bytes, begin_s: float, end_s: float | None) -> Any:
    decoder = decoders.AudioDecoder(data)
    rate = int(decoder.metadata.sample_rate)
    found = decoder.get_samples_played_in_range(
        begin_s, end_s if end_s is None or end_s > begin_s else begin_s + 1 / rate
    )
    values = np.ascontiguousarray(found.data.numpy().T, np.float32)
    return values[: 0 if end_s is not None and end_s <= begin_s else None], rate


def _audio_soundfile(soundfile: Any, data: bytes, begin_s: float, end_s: float | None) -> Any:
    try:
        file = soundfile.SoundFile(BytesIO(data))
    except soundfile.LibsndfileError as error:
        if error.code == _NOT_RECOGNISED:
            with suppress(ImportError):
                return _audio_av(import_module("av"), data, begin_s, end_s)
        raise
    with file:
        rate = file.samplerate
        begin = min(round(begin_s * rate), file.frames)
        file.seek(begin)
        count = -1 if end_s is None else max(0, round(end_s * rate) - begin)
        return file.read(count, dtype="float32", always_2d=True), rate


def _audio_av(av: Any, data: bytes, begin_s: float, end_s: float | None) -> Any:
    with av.open(BytesIO(data)) as container:
        stream = container.streams.audio[0]
        rate, channels = int(stream.rate), stream.codec_context.channels
        resampler = av.AudioResampler(format="fltp", rate=rate)
        last = None if end_s is None else round(end_s * rate)
        parts: list[Any] = []
        count = 0
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                parts.append(part.to_ndarray().T)
                count += len(parts[-1])
            if last is not None and count >= last:
                break
        values = np.concatenate(parts) if parts else np.empty((0, channels), np.float32)
        return np.ascontiguousarray(values[round(begin_s * rate) : last], np.float32), rate


def _video_torchcodec(decoders: Any, data: bytes, begin_s: float, end_s: float | None) -> Any:
    decoder = decoders.VideoDecoder(data, dimension_order="NHWC")
    end = decoder.metadata.end_stream_seconds if end_s is None else end_s
    found = decoder.get_frames_played_in_range(begin_s, end)
    times = found.pts_seconds.numpy().astype(np.float64)
    kept = times >= begin_s - 1e-9
    return found.data.numpy()[kept], times[kept]


def _video_av(av: Any, data: bytes, begin_s: float, end_s: float | None) -> Any:
    with av.open(BytesIO(data)) as container:
        stream = container.streams.video[0]
        if begin_s > 0:
            container.seek(int(begin_s / stream.time_base), stream=stream)
        frames: list[Any] = []
        times: list[float] = []
        for frame in container.decode(stream):
            if frame.time is None or frame.time < begin_s - 1e-9:
                continue
            if end_s is not None and frame.time >= end_s - 1e-9:
                break
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.time))
        shape = (0, stream.height, stream.width, 3)
        return (np.stack(frames) if frames else np.empty(shape, np.uint8)), np.array(times)


_AUDIO: dict[str, Any] = {
    "torchcodec.decoders": _audio_torchcodec,
    "soundfile": _audio_soundfile,
    "av": _audio_av,
}
_VIDEO: dict[str, Any] = {"torchcodec.decoders": _video_torchcodec, "av": _video_av}
