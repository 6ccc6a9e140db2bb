"""The card's sections on how to use the data: loading, and one snippet per trainer and config.

The surprising fact: the snippets name the very files and configs of this dataset. A trainer's
section stands on the card only if the dataset has a config that the trainer reads.
"""

from collections.abc import Mapping
from typing import Final

from datagen.publish.card.advice import ADVICE
from datagen.publish.card.markdown import block, bullets, section, subsection
from datagen.publish.manifest import ConfigFiles

_NAMES: Final = """\
`MODEL` is the name of the model to train, `tokenizer` its tokenizer, and `OUT` a folder. Split \
`test` is for measuring."""

_TRUNCATION: Final = """\
Trainers cut long rows without a word, from the end, where the answer stands: TRL's SFT, DPO and \
KTO at `max_length=1024` tokens unless told otherwise, verl's prompts at 512. The table of configs \
has the longest row of each."""

_TRL: Final = {
    "sft": """\
# Nothing of the question is learned, and of the reply nothing that it takes back.
def encode(row):
    text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    begin = text.rindex(row["messages"][-1]["content"])
    masked = [(begin + span["start"], begin + span["end"]) for span in row["masked_spans"]]
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        -100 if end <= begin or any(first < end and start < last for first, last in masked) else idx
        for idx, (start, end) in zip(read["input_ids"], read["offset_mapping"])
    ]
    return {"input_ids": read["input_ids"], "labels": labels}

# max_length=None cuts nothing; else give what your longest row needs.
rows = sft.map(encode, remove_columns=sft.column_names)
SFTTrainer(MODEL, SFTConfig(OUT, max_length=None), train_dataset=rows).train()""",
    "preference": """\
DPOTrainer(MODEL, args=DPOConfig(OUT, max_length=None), train_dataset=preference).train()""",
    "kto": """\
KTOTrainer(MODEL, args=KTOConfig(OUT, max_length=None), train_dataset=kto).train()""",
    "rl": """\
def verified(completions, reward_model, extra_info, **_):
    asked = zip(completions, reward_model, extra_info)
    verdicts = [
        verify_completion(reply["content"], gold["ground_truth"], verifier=info["verifier"])
        for (reply,), gold, info in asked
    ]
    return [float(verdict.outcome == "correct") for verdict in verdicts]

GRPOTrainer(MODEL, verified, GRPOConfig(OUT), train_dataset=rl).train()""",
}
_TRL_NAMES: Final = {
    "sft": "SFTConfig, SFTTrainer",
    "preference": "DPOConfig, DPOTrainer",
    "kto": "KTOConfig, KTOTrainer",
    "rl": "GRPOConfig, GRPOTrainer",
}

_NO_GPU: Final = """\
Without a GPU these settings need `bf16=False`. TRL counts its users over the network unless \
`HF_HUB_DISABLE_TELEMETRY=1` is set."""

_PRM: Final = """\
def ids_of(text):  # piece by piece, as `search.value_model` of datagen reads it
    return tokenizer(text, add_special_tokens=False)["input_ids"]

def encode(row):
    ids = tokenizer(row["prompt"])["input_ids"]
    labels = [-100] * len(ids)
    for step, is_good in zip(row["completions"], row["labels"]):
        step_ids = ids_of(step) + ids_of("\\n")
        ids, labels = ids + step_ids, labels + [-100] * (len(step_ids) - 1) + [int(is_good)]
    return {"input_ids": ids, "labels": labels}

rows = prm.map(encode, remove_columns=prm.column_names)
model = AutoModelForTokenClassification.from_pretrained(
    MODEL, num_labels=2, dtype="float32"
)
collator = DataCollatorForTokenClassification(tokenizer)
Trainer(model, TrainingArguments(OUT), collator, rows).train()"""

_ORM: Final = """\
def read(row):
    return {**tokenizer(row["prompt"] + row["completion"]), "labels": row["label"]}

rows = orm.map(read, remove_columns=orm.column_names)
model = AutoModelForSequenceClassification.from_pretrained(
    MODEL, num_labels=2, dtype="float32"
)
Trainer(model, TrainingArguments(OUT), DataCollatorWithPadding(tokenizer), rows).train()"""

_TRANSFORMERS: Final = {"prm": _PRM, "orm": _ORM}
_TRANSFORMERS_NAMES: Final = {
    "prm": "AutoModelForTokenClassification, DataCollatorForTokenClassification",
    "orm": "AutoModelForSequenceClassification, DataCollatorWithPadding",
}

_VERL: Final = """\
verl reads files, not names: `hf download --repo-type dataset` brings them. It knows no reward for \
`data_source` of this dataset, so give it one. Releases before 0.7.1 call the option \
`custom_reward_function.path`."""

_VERL_REWARD: Final = """\
# reward.py
from datagen.verify import verify_completion

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    verdict = verify_completion(solution_str, ground_truth, verifier=extra_info["verifier"])
    return float(verdict.outcome == "correct")"""

_OPENRLHF: Final = """\
What stands behind `@` is the folder of a config. Before release 0.10.2 the options have other \
names (`--dataset`, `--prompt_data`, `--input_key`, `--label_key`, `--remote_rm_url`). The reward \
is a file of datagen's `docs/examples`; it judges by what is in `reward_model`."""

_OPENRLHF_COMMANDS: Final = {
    "sft": "deepspeed --module openrlhf.cli.train_sft --data.dataset {repo}@sft \\\n"
    "    --data.input_key messages --data.apply_chat_template --data.max_len {length} ...",
    "preference": "deepspeed --module openrlhf.cli.train_dpo --data.dataset {repo}@preference \\\n"
    "    --data.prompt_key prompt --data.chosen_key chosen --data.rejected_key rejected \\\n"
    "    --data.apply_chat_template --data.max_len {length} ...",
    "rl": "python -m openrlhf.cli.train_ppo_ray --data.prompt_dataset {repo}@rl \\\n"
    "    --data.prompt_split train --data.input_key prompt --data.label_key reward_model \\\n"
    "    --data.apply_chat_template \\\n"
    "    --reward.remote_url openrlhf_reward.py ...",
}


def loading(configs: Mapping[str, ConfigFiles], repo: str) -> str:
    """How to load each config, in a split that it has.

    Args:
        configs: the configs, in the order of the card.
        repo: what to load them from.
    """

    def load(name: str, more: str = "") -> str:
        return f'load_dataset("{repo}", "{name}", split="{_split(configs[name])}"{more})'

    first, last = next(iter(configs)), list(configs)[-1]
    lines = (
        "from datasets import load_dataset",
        "",
        *(f"{name} = {load(name)}" for name in configs),
        "",
        f"for row in {load(last, ', streaming=True')}:",
        "    ...",
    )
    return section(
        "Loading",
        block("python", *lines),
        f"The path of a local copy does in place of `{repo}`. Without a config's name "
        f"`load_dataset` takes `{first}`. Splits are of questions: all rows of a question, in "
        "every config, are in one split.",
    )


def training(
    configs: Mapping[str, ConfigFiles],
    repo: str,
    longest_tokens: Mapping[str, int],
) -> str:
    """How to train on them, with one snippet per trainer and config that is there.

    Args:
        configs: the configs, in the order of the card.
        repo: what to load them from.
        longest_tokens: config → tokens of its longest row, where somebody counted them.
    """
    return section(
        "Training",
        _TRUNCATION,
        _NAMES,
        _trl(configs),
        _transformers(configs),
        _verl(configs, longest_tokens),
        _openrlhf(configs, repo, longest_tokens),
        bullets(text for names, text in ADVICE if configs.keys() & names),
    )


def _split(config: ConfigFiles) -> str:
    return next(iter(config.splits))


def _trl(configs: Mapping[str, ConfigFiles]) -> str:
    names = [name for name in _TRL if name in configs]
    if not names:
        return ""
    imported = ", ".join(sorted(", ".join(_TRL_NAMES[name] for name in names).split(", ")))
    rewards = ["from datagen.verify import verify_completion"] if "rl" in names else []
    snippets = [line for name in names for line in ("", *_TRL[name].splitlines())]
    lines = (f"from trl import {imported}", *rewards, *snippets)
    return subsection("TRL", block("python", *lines), _NO_GPU)


def _transformers(configs: Mapping[str, ConfigFiles]) -> str:
    names = [name for name in _TRANSFORMERS if name in configs]
    if not names:
        return ""
    imported = [*(_TRANSFORMERS_NAMES[name] for name in names), "Trainer, TrainingArguments"]
    lines = ["from transformers import (", *(f"    {part}," for part in imported), ")"]
    lines += [line for name in names for line in ("", *_TRANSFORMERS[name].splitlines())]
    return subsection("Transformers", block("python", *lines))


def _verl(configs: Mapping[str, ConfigFiles], longest_tokens: Mapping[str, int]) -> str:
    commands: list[str] = []
    if "sft" in configs:
        commands.append(
            "torchrun --standalone --nproc_per_node=8 -m verl.trainer.sft_trainer \\\n"
            f"    {_files(configs['sft'])} \\\n"
            f"    data.messages_key=messages data.max_length={_length('sft', longest_tokens)} ..."
        )
    if "rl" in configs:
        length = _length("rl", longest_tokens)
        commands.append(
            "python -m verl.trainer.main_ppo algorithm.adv_estimator=grpo \\\n"
            f"    {_files(configs['rl'])} \\\n"
            f"    data.prompt_key=prompt data.max_prompt_length={length} \\\n"
            "    reward.custom_reward_function.path=reward.py ..."
        )
    if not commands:
        return ""
    return subsection(
        "verl",
        _VERL if "rl" in configs else "",
        block("bash", *"\n\n".join(commands).splitlines()),
        block("python", *_VERL_REWARD.splitlines()) if "rl" in configs else "",
    )


def _files(config: ConfigFiles) -> str:
    """The options that name a config's files, for a trainer that is started where they lie."""
    options = {"train": "data.train_files", "test": "data.val_files"}
    return " \\\n    ".join(
        f"{options[split]}='[{','.join(file.path for file in files.files)}]'"
        for split, files in config.splits.items()
    )


def _openrlhf(
    configs: Mapping[str, ConfigFiles], repo: str, longest_tokens: Mapping[str, int]
) -> str:
    commands = [
        command.format(repo=repo, length=_length(name, longest_tokens))
        for name, command in _OPENRLHF_COMMANDS.items()
        if name in configs
    ]
    if not commands:
        return ""
    return subsection("OpenRLHF", _OPENRLHF, block("bash", *"\n\n".join(commands).splitlines()))


def _length(config: str, longest_tokens: Mapping[str, int]) -> str:
    return str(longest_tokens.get(config, "TOKENS"))
