"""Prompts as the token ids of one model: its chat template laid over conversations.

A text is tokenised as the tokenizer does by default, with the token that opens a text if it has
one. What follows a prompt (a prefill, a choice, a text to be scored) is tokenised without.
"""

import hashlib
from typing import Any

from datagen.engines.protocol import Chat, Prompt
from datagen.errors import EngineError


class ModelPrompts:
    """Tokenises for one model.

    Args:
        model: name of the model, for messages.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: str, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @property
    def digest(self) -> str:
        """Hash of the chat template; the same for all models without one."""
        template = getattr(self._tokenizer, "chat_template", None)
        return hashlib.sha256(repr(template).encode()).hexdigest()[:8]

    def ids(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt.

        Raises:
            EngineError: if it is a conversation and the model has no chat template.
        """
        if isinstance(prompt, str):
            return self._tokenizer(prompt)["input_ids"]
        return self.continuation(self.rendered(prompt))

    def continuation(self, text: str) -> list[int]:
        """Token ids of text that stands behind other text."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

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
