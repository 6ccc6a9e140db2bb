"""Guide ``two_heads``: one trunk, a policy over thought factors and a value, as in AlphaZero.

The trunk is a causal language model without its output layer; both heads read what it makes of the
last token of the state, in the reasoner's own markup. That is where the language model would write
the next tag, so a new policy head takes over the rows of its output layer that are tags: before any
training the policy is the language model's own prior.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from datagen.engines.protocol import Evaluation
from datagen.errors import ConfigError
from datagen.factors import taxonomy
from datagen.guides.guide import content_digest
from datagen.guides.passes import (
    at_last_token,
    context_of,
    device_named,
    dtype_on,
    padded,
    padding_of,
    passes,
)
from datagen.prompts.native import prompt_of
from datagen.traces.markup import start_tag
from datagen.traces.model import Trace

_TRUNK: Final = "trunk"
_HEADS: Final = "heads.safetensors"


class Network(torch.nn.Module):
    """The trunk with its two heads.

    Args:
        trunk: gives hidden states ``(rows, length, width)``.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk
        width = trunk.config.hidden_size
        self.heads = torch.nn.ModuleDict(
            {
                "policy": torch.nn.Linear(width, len(taxonomy.ACTIONS)),
                "value": torch.nn.Linear(width, 1),
            }
        )
        for parameter in self.heads.parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the policy ``(rows, n_actions)`` and of the value ``(rows,)``, in float32."""
        hidden = self.trunk(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = at_last_token(hidden, mask).float()
        return self.heads["policy"](last), self.heads["value"](last).squeeze(-1)


class TwoHeads:
    """A network that can be asked; see :meth:`begin` and :meth:`load`.

    Attributes:
        network: trunk and heads.
        tokenizer: of the trunk.
        fingerprint: as in :class:`~datagen.guides.guide.Guide`, like the next two; empty until the
            network has been saved.
        batch_size: most states of one call.
        has_policy: always.
    """

    has_policy = True
    batch_size = 256

    def __init__(self, network: Network, tokenizer: Any, *, device: torch.device) -> None:
        self.network, self.tokenizer = network.to(device).eval(), tokenizer
        self.fingerprint, self._device = "", device
        self._padding, self._context = padding_of(tokenizer), context_of(network.trunk.config)

    @classmethod
    def begin(cls, checkpoint: Path | str, *, device: str = "auto") -> "TwoHeads":
        """A new network on the trunk of a causal language model, in float32.

        Its policy is the prior of the language model, as far as that has a token for each tag; its
        value is one half.

        Raises:
            ConfigError: if the checkpoint cannot be loaded.
        """
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
            whole: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"cannot load {str(checkpoint)!r}: {error}; name a folder or Hub name of a causal "
                "language model"
            ) from error
        network = Network(whole.base_model)
        weight, _ = network.heads["policy"].parameters()
        embedded: torch.Tensor = whole.get_output_embeddings().weight.detach()
        for action, factor in enumerate(taxonomy.ACTIONS):
            tag = tokenizer(start_tag(factor), add_special_tokens=False)["input_ids"]
            if len(tag) == 1:
                weight.data[action] = embedded[tag[0]]
        return cls(network, tokenizer, device=device_named(device))

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto") -> "TwoHeads":
        """Load what :meth:`save` wrote.

        Raises:
            ConfigError: if it cannot be loaded, or its actions are not those of this version.
        """
        path, place = Path(folder), device_named(device)
        dtype = dtype_on(place)
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            _check_taxonomy(config, str(folder))
            tokenizer: Any = AutoTokenizer.from_pretrained(path / _TRUNK)
            network = Network(AutoModel.from_pretrained(path / _TRUNK, dtype=dtype))
            network.heads.load_state_dict(load_file(path / _HEADS))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(
                f"cannot load the value model {str(folder)!r}: {error}; set search.value_model to "
                "a folder that TwoHeads.save has written"
            ) from error
        guide = cls(network, tokenizer, device=place)
        name = str(dtype).removeprefix("torch.")
        guide.fingerprint = f"two_heads:{content_digest(path)[:16]}:{name}"
        return guide

    def save(self, folder: Path | str) -> None:
        """Write ``config.json``, the heads, and the trunk with its tokenizer."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.network.trunk.save_pretrained(path / _TRUNK)
        self.tokenizer.save_pretrained(path / _TRUNK)
        heads = {
            name: weight.contiguous() for name, weight in self.network.heads.state_dict().items()
        }
        save_file(heads, path / _HEADS)
        config = {
            "kind": "two_heads",
            "taxonomy_version": taxonomy.TAXONOMY_VERSION,
            "actions": [factor.value for factor in taxonomy.ACTIONS],
        }
        (path / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def tokens_of(self, state: Trace) -> list[int]:
        """Token ids of a state; without its beginning, if it is longer than the context."""
        ids: list[int] = self.tokenizer(prompt_of(state))["input_ids"]
        return ids[-self._context :] if self._context else ids

    def logits_of(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """What :class:`Network` makes of some token sequences, in one pass."""
        return self.network(*padded(sequences, padding=self._padding, device=self._device))

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        """Probability of a right end, and of each thought factor to come next.

        The policy is over all factors. Training looks at the legal ones of a state only, so keep
        those and let them sum to one.
        """
        sequences = [self.tokens_of(state) for state in states]
        answers: dict[int, Evaluation] = {}
        with torch.inference_mode():
            for rows in passes([len(ids) for ids in sequences]):
                policy, value = self.logits_of([sequences[row] for row in rows])
                policies, values = policy.softmax(-1).tolist(), value.sigmoid().tolist()
                for row, some, each in zip(rows, policies, values, strict=True):
                    answers[row] = Evaluation(each, tuple(some))
        return [answers[row] for row in range(len(states))]


def _check_taxonomy(config: dict[str, Any], folder: str) -> None:
    version, actions = config["taxonomy_version"], config["actions"]
    known = [factor.value for factor in taxonomy.ACTIONS]
    if version != taxonomy.TAXONOMY_VERSION or actions != known:
        raise ConfigError(
            f"the value model {folder!r} was trained for {len(actions)} actions of taxonomy "
            f"{version!r}, and this is taxonomy {taxonomy.TAXONOMY_VERSION!r} with {len(known)}: "
            "train it anew, or take a version of datagen with that taxonomy"
        )
