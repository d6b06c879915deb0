"""Text that is tokenized as it is read."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import Unpack

from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import
from streaming.dataset.convenience import ConvenienceArguments, ConvenienceDataset, takes_arguments_of

__all__ = ["TokenizedTextDataset"]

_GROUP_METHODS = ("truncate",)


@takes_arguments_of(ConvenienceDataset)
class TokenizedTextDataset(ConvenienceDataset):
    """Samples with a column ``text``, tokenized by a Hugging Face tokenizer, cut or padded to one length.

    Args:
        tokenizer_name: Name of the tokenizer on the hub, or its directory.
        max_seq_len: Tokens of a sample.
        group_method: How texts become samples: ``'truncate'``, each one, cut off at ``max_seq_len``.
        kwargs: See :class:`streaming.dataset.convenience.ConvenienceDataset`.

    Raises:
        ConfigError: An argument is wrong.
        MissingDependencyError: (an ``ImportError``) ``transformers`` is not installed.
    """

    def __init__(
        self,
        *,
        tokenizer_name: str,
        max_seq_len: int,
        group_method: Literal["truncate"],
        **kwargs: Unpack[ConvenienceArguments],
    ) -> None:
        if group_method not in _GROUP_METHODS:
            raise ConfigError(f"group_method must be one of {', '.join(_GROUP_METHODS)}, got {group_method!r}.")
        super().__init__(**kwargs)
        transformers = optional_import("transformers", "text", type(self).__name__)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(tokenizer_name)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.max_seq_len = max_seq_len
        self.group_method = group_method

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        """Return what the tokenizer makes of a sample's text: ``input_ids``, ``attention_mask`` and so on."""
        sample = super().get_item(sample_id, retry)
        return self.tokenizer(sample["text"], truncation=True, padding="max_length", max_length=self.max_seq_len)
