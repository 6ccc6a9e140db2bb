"""The embedded reasoner's tokenizer: byte-level BPE in which tags, words and digits are whole.

Any text survives ``decode(encode(text)) == text``, so foreign questions (GSM8K, say) can be asked;
but only the world's own words are single tokens, everything else falls apart into bytes. Tags are
ordinary added tokens, not "special" ones, since engines drop special tokens from their output.
"""

from collections.abc import Iterable
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from datagen.prompts.native import QUESTION
from datagen.traces.markup import MARKUP_TOKENS

END: Final = "<|end|>"
VOCAB_SIZE: Final = 1280

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    f"{QUESTION}" + "{{ message['content'] }}\n"
    "{% elif message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}" + END + "{% endgeneration %}"
    "{% endif %}"
    "{% endfor %}"
)
"""Turns chat messages into the reasoner's own format; the thought follows the question at once."""


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train the tokenizer on world texts; the result saves as a standard ``tokenizer.json``."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(MARKUP_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(
        [AddedToken(tag, normalized=False, special=False) for tag in MARKUP_TOKENS]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
