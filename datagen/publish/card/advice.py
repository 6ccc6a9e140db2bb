"""What trainers of some configs must know, in sentences for the card.

The surprising fact: most of it is about what trainers do without a word, such as cutting the answer
off or learning the end of a text that has none.
"""

from typing import Final

_MARKUP: Final = """\
In `sft` every step stands between `<ACT_x-Start>` and `<ACT_x-End>`, x being its thought factor; \
add these tags to the tokenizer, or each costs a dozen tokens."""

_THINK: Final = """\
Some chat templates cut `<think>…</think>` out of assistant messages (DeepSeek's do): look at a \
rendered row of `sft_plain` before training on it."""

_STEPS: Final = """\
In `prm` put one separator after each completion, a newline, and the label on the last token of \
the step. `labels` are booleans, because trainers truncate soft labels; the soft ones are in \
`step_scores`. A row ends before the first step that could not be labelled."""

_WHOLE: Final = """\
In `orm` the label is of the final answer, which was verified: nothing is said of the steps."""

_BENCH: Final = """\
`processbench` has the columns of ProcessBench, so that a program that measures on one measures on \
the other; its labels are this dataset's, and people's only where they reviewed it."""

_GOLD: Final = """\
In `rl` the answer is `solution` for rewards that use math-verify, \
`reward_model.ground_truth` for verl and `answer` for all others."""

_MASKED: Final = """\
Traces in `sft` and `sft_plain` go wrong, notice it and mend it. `masked_spans` says where: mask \
the loss on these characters of the reply, as the snippet for TRL does, so that the model learns \
the repair and not the error. For a trainer that cannot, leave such rows out: \
`sft.filter(lambda row: not row["masked_spans"])`."""

_CORRECTIONS: Final = """\
Rows of `sft` and `sft_plain` whose `id` is a `trace_id` of `corrections` were put together of \
right and wrong traces; there `step_roles` says what each step is there for."""

_PAIRS: Final = """\
In `preference` the steps that both replies share stand in both: their terms cancel in DPO, but \
not in losses that divide by the length, for which there is `step_preference`."""

_CUT: Final = """\
In `preference` and `kto` wrong replies may end at the step that spoilt them. TRL puts an \
end-of-text token behind these too; it is the easiest token to push down, and teaches nothing. \
Mask it, or make the data with `export.wrong_ends_at = "answer"`."""

_STEP_PAIRS: Final = """\
In `step_preference` the texts are read as they stand, without a chat template; TRL puts an end of \
text behind both steps, where it cancels out. \
`n_chosen` and `n_rejected` count the evidence: pairs that rest on one rollout a side are noisy."""

_ADVANTAGES: Final = """\
In `advantages` a null is not a zero: leave the step out of the loss. The values are those of the \
model named below; for another one they are off-policy."""

_POLICY_VALUE: Final = """\
In `policy_value` the target of the policy is `pi`, one entry for each of `legal_factors`; give \
all other factors no probability. The target of the value is `value`, not `outcome`, which is how \
one trace ended. States with few `n_visits` are noisy, and states of one tree share their steps: \
split what you hold out by `seed_id`."""

_CRITIQUE: Final = """\
In `critique` the verdict is checked and the analysis is not: it was kept because it comes to the \
trusted label. The score after each step comes from the labels."""

_RUBRICS: Final = """\
In `rubric_rewards` a reward is a model's opinion. Never mix these with verified rewards such as \
those of `rl`, and compare them within one question only."""

ADVICE: Final = (
    ({"sft"}, _MARKUP),
    ({"sft_plain"}, _THINK),
    ({"sft", "sft_plain"}, _MASKED),
    ({"corrections"}, _CORRECTIONS),
    ({"prm"}, _STEPS),
    ({"orm"}, _WHOLE),
    ({"processbench"}, _BENCH),
    ({"rl"}, _GOLD),
    ({"preference"}, _PAIRS),
    ({"preference", "kto"}, _CUT),
    ({"step_preference"}, _STEP_PAIRS),
    ({"advantages"}, _ADVANTAGES),
    ({"policy_value"}, _POLICY_VALUE),
    ({"critique"}, _CRITIQUE),
    ({"rubric_rewards"}, _RUBRICS),
)
"""What trainers of some configs must know, with these configs."""
