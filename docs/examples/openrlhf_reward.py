"""Rewards for OpenRLHF on the dataset ``rl``: an answer is judged by the verifier of its row.

    python -m openrlhf.cli.train_ppo_ray \
        --data.prompt_dataset out/published@rl \
        --data.input_key prompt --data.label_key reward_model --data.apply_chat_template \
        --reward.remote_url docs/examples/openrlhf_reward.py ...

Before OpenRLHF 0.10.2 the options are ``--prompt_data``, ``--input_key``, ``--label_key``,
``--apply_chat_template`` and ``--remote_rm_url``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from datagen.verify import Outcome, verify_completion

_ENDS: Final = re.compile(r"(?:\s*(?:<[|｜][^<>]*[|｜]>|</s>|<eos>|<end_of_turn>))+\s*$")
"""Tokens with which models end a reply, which OpenRLHF leaves in the text."""


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Reward some completions.

    Args:
        queries: prompts, each with its completion behind it.
        prompts: as the model was given them.
        labels: ``reward_model`` of the rows: ``ground_truth`` and ``verifier``.

    Returns:
        ``rewards`` and ``scores``, float32 ``(n,)``: 1 if the answer is right, else 0; and, to be
        logged, ``unverifiable``: 1 if nothing could be made of it.
    """
    outcomes = [
        verify_completion(
            _ENDS.sub("", query.removeprefix(prompt)),
            label["ground_truth"],
            verifier=label["verifier"],
        ).outcome
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    right = torch.tensor([outcome is Outcome.CORRECT for outcome in outcomes]).float()
    unknown = torch.tensor([outcome is Outcome.UNVERIFIABLE for outcome in outcomes]).float()
    return {"rewards": right, "scores": right, "extra_logs": {"unverifiable": unknown}}
