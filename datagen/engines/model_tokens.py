"""Between text and the token ids of one model, for engines that hold the model themselves.

A prompt is tokenised as the tokenizer does by default, with the token that opens a text if it has
one. What follows a prompt (a prefill, a choice, a text to be scored) is tokenised without.
"""

import hashlib
from typing import Any

from datagen.engines.protocol import Chat, Prompt
from datagen.engines.token_pieces import TokenPieces
from datagen.errors import EngineError


class ModelTokens:
    """Tokenises and joins for one model.

    Args:
        model: name of the model, for messages.
        tokenizer: its tokenizer.
        configured_ends: the ``eos_token_id`` of its generation config: one, several or ``None``.

    Attributes:
        ends: every token that ends a text; instruct models often have several.

    Raises:
        EngineError: if the model has none, since its samples would never end.
    """

    def __init__(
        self, model: str, tokenizer: Any, configured_ends: int | list[int] | None = None
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._pieces = TokenPieces(tokenizer)
        several = configured_ends if isinstance(configured_ends, list) else [configured_ends]
        ends = (*several, tokenizer.eos_token_id)
        self.ends = frozenset(int(end) for end in ends if end is not None)
        if not self.ends:
            raise EngineError(
                f"model {model!r} has no end-of-text token; set eos_token in its "
                "tokenizer_config.json"
            )

    @property
    def digest(self) -> str:
        """Hash of the chat template; the same for all models without one."""
        template = getattr(self._tokenizer, "chat_template", None)
        return hashlib.sha256(repr(template).encode()).hexdigest()[:8]

    def ids(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt. Where nothing is given, a text follows the end of another.

        Raises:
            EngineError: if it is a conversation and the model has no chat template.
        """
        if isinstance(prompt, str):
            return self._tokenizer(prompt)["input_ids"] or [min(self.ends)]
        return self.continuation(self.rendered(prompt))

    def continuation(self, text: str) -> list[int]:
        """Token ids of text that stands behind other text."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def spans(self, text: str) -> tuple[list[int], tuple[int, ...]]:
        """Token ids of text that stands behind other text, and where each ends in it."""
        if not self._tokenizer.is_fast:
            ids = self.continuation(text)
            return ids, self._pieces.join(ids, ends=frozenset())[1]
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], tuple(end for _, end in encoded["offset_mapping"])

    def join(self, tokens: list[int]) -> tuple[str, tuple[int, ...]]:
        """Generated text without a closing end token, and each token's end offset."""
        return self._pieces.join(tokens, ends=self.ends)

    def rendered(self, chat: Chat) -> str:
        """A conversation as the model reads it, the reply begun.

        Raises:
            EngineError: if the model has no chat template, or it refuses the conversation.
        """
        messages = [{"role": turn.role, "content": turn.content} for turn in chat.messages]
        try:
            opened: str = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # a template is a program, and may fail as it likes
            raise EngineError(
                f"the chat template of model {self._model!r} cannot be used: {error}. Set "
                'engine.prompts to "native", or engine.model to one that follows instructions'
            ) from error
        return opened + chat.prefill
