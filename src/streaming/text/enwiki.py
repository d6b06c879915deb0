"""English Wikipedia, prepared for masked language modelling."""

from __future__ import annotations

from typing import Any

import numpy as np

from streaming.dataset.convenience import ConvenienceDataset

__all__ = ["StreamingEnWiki"]

_COLUMNS = {
    "input_ids": np.int32,
    "input_mask": np.int32,
    "segment_ids": np.int32,
    "masked_lm_positions": np.int32,
    "masked_lm_ids": np.int32,
    "masked_lm_weights": np.float32,
    "next_sentence_labels": np.int32,
}
_NO_LABEL = -100


class StreamingEnWiki(ConvenienceDataset):
    """English Wikipedia with masked tokens. Arguments as :class:`streaming.dataset.convenience.ConvenienceDataset`'s.

    Example:
        >>> from streaming.text import StreamingEnWiki
        >>> StreamingEnWiki(local='wiki')[0]['labels']
        array([-100,    9, -100, -100])
    """

    def get_item(self, sample_id: int, retry: int = 7) -> dict[str, Any]:
        """Return ``input_ids``, ``token_type_ids``, ``attention_mask`` (``int32[L]``) and ``labels`` (``int64[L]``).

        Labels are -100 but where a token is masked.

        Raises:
            KeyError: The dataset has a column that such datasets do not have.
        """
        stored = super().get_item(sample_id, retry)
        columns: dict[str, Any] = {name: np.frombuffer(data, _COLUMNS[name]) for name, data in stored.items()}
        labels = np.full(len(columns["input_ids"]), _NO_LABEL, np.int64)
        labels[columns["masked_lm_positions"]] = columns["masked_lm_ids"]
        return {
            "input_ids": columns["input_ids"].copy(),
            "token_type_ids": columns["segment_ids"].copy(),
            "attention_mask": columns["input_mask"].copy(),
            "labels": labels,
        }
