"""How one answer is written: its key, its request, its numbers as bytes, and a checksum over all.

The surprising fact: text is kept as bytes. A broken model emits lone surrogates, which UTF-8 proper
refuses, and a journal that refused them would lose the answer that shows what is broken.
"""

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from datagen.engines.protocol import (
    Answer,
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Message,
    Prompt,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace

_KINDS: Final[dict[type[Request] | type[Answer], str]] = {
    CompletionRequest: "completion",
    Completion: "completion",
    ChoiceRequest: "choice",
    Choice: "choice",
    ScoreRequest: "score",
    Score: "score",
    EvaluationRequest: "evaluation",
    Evaluation: "evaluation",
}
_NO_PROMPT: Final = "evaluate"
"""Stored as the prompt of every evaluation: the word with which its identity begins."""

_LENGTHS: Final = struct.Struct("<9q")


class Entry(NamedTuple):
    """One answer as it is stored; what an entry of format 1 does not know is ``None``.

    Attributes:
        key: :func:`journal_key` as 16 bytes.
        fingerprint: the engine's, UTF-8 as all bytes of text here, lone surrogates passed.
        prompt_hash: :func:`hash_of` the prompt's JSON, under which the prompt is stored.
        kind: "completion", "choice", "score" or "evaluation".
        request: JSON list of what the request has besides its prompt: sampling, sample index and,
            if it is not the policy's, model; or choices; or scored text; or model and state.
        finish: of a completion.
        text: of a completion.
        n_tokens: tokens generated; scoring and choosing generate none.
        logprobs: float64, little-endian; of a choice, its probabilities; of an evaluation, its
            value and then its policy, if it has one.
        ends: uint32, little-endian; choices and evaluations have none.
    """

    key: bytes
    fingerprint: bytes | None
    prompt_hash: bytes | None
    kind: str
    request: bytes | None
    finish: str | None
    text: bytes | None
    n_tokens: int
    logprobs: bytes
    ends: bytes | None


class Stored(NamedTuple):
    """An entry as it was found, not checked yet.

    Attributes:
        entry: its fields.
        prompt: JSON of its prompt; ``None`` if it is not known.
        checksum: as written; ``None`` in format 1.
    """

    entry: Entry
    prompt: bytes | None
    checksum: int | None


def journal_key(fingerprint: str, request: Request) -> str:
    """Content address of a request's answer: 32 hexadecimal digits."""
    return _address(fingerprint, _KINDS[type(request)], request.identity).hex()


def _address(fingerprint: str, kind: str, identity: str) -> bytes:
    fields = json.dumps([fingerprint, kind, identity], ensure_ascii=False)
    return hashlib.sha256(bytes_of(fields)).digest()[:16]


def shown(key: object) -> str:
    """A key as text; a damaged record can hold anything in its place."""
    return key.hex() if isinstance(key, bytes) else repr(key)


def bytes_of(text: str) -> bytes:
    """UTF-8 that passes lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """The inverse of :func:`bytes_of`."""
    return data.decode("utf-8", "surrogatepass")


def hash_of(prompt: bytes) -> bytes:
    """Content address of a prompt's JSON, 16 bytes."""
    return hashlib.sha256(prompt).digest()[:16]


def encode(
    fingerprint: str, answered: Iterable[tuple[Request, Answer]]
) -> tuple[list[Entry], dict[bytes, bytes]]:
    """Requests and their answers as entries, and their distinct prompts by hash.

    Raises:
        ValueError: if an answer is not of its request's kind.
        OverflowError: if a token's end does not fit in 32 bits.
    """
    entries: list[Entry] = []
    prompts: dict[bytes, bytes] = {}
    written: dict[Prompt, tuple[str, bytes]] = {}
    for request, answer in answered:
        asked = _NO_PROMPT if isinstance(request, EvaluationRequest) else request.prompt
        if asked not in written:
            prompt = _prompt_json(asked)
            data = bytes_of(prompt)
            written[asked] = (prompt, hash_of(data))
            prompts[hash_of(data)] = data
        prompt, prompt_hash = written[asked]
        kind = _KINDS[type(request)]
        if _KINDS[type(answer)] != kind:
            raise ValueError(f"a {kind} was asked for, and the answer is {answer!r}")
        entries.append(
            Entry(
                _address(fingerprint, kind, request.identity),
                bytes_of(fingerprint),
                prompt_hash,
                kind,
                # The identity is a JSON list, and the prompt comes first in it.
                bytes_of("[" + request.identity[len(prompt) + 2 :]),
                *_answer_fields(answer),
            )
        )
    return entries, prompts


def _prompt_json(prompt: Prompt) -> str:
    """A prompt as it stands in the identity of its requests."""
    plain = prompt if isinstance(prompt, str) else asdict(prompt)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _answer_fields(answer: Answer) -> tuple[str | None, bytes | None, int, bytes, bytes | None]:
    """Finish, text, number of tokens, log-probabilities and ends."""
    match answer:
        case Completion(text, finish, logprobs, ends):
            numbers, offsets = array("d", logprobs).tobytes(), array("I", ends).tobytes()
            return finish, bytes_of(text), answer.n_tokens, numbers, offsets
        case Choice(probabilities):
            return None, None, 0, array("d", probabilities).tobytes(), None
        case Score(logprobs, ends):
            return None, None, 0, array("d", logprobs).tobytes(), array("I", ends).tobytes()
        case Evaluation(value, policy):
            return None, None, 0, array("d", (value, *(policy or ()))).tobytes(), None


def answer_of(entry: Entry) -> Answer:
    """The answer that an entry holds.

    Raises:
        ValueError: if it is of no known kind.
    """
    floats, offsets = tuple(array("d", entry.logprobs)), tuple(array("I", entry.ends or b""))
    match entry.kind:
        case "completion":
            finish: Any = entry.finish
            return Completion(text_of(entry.text or b""), finish, floats, offsets)
        case "choice":
            return Choice(floats)
        case "score":
            return Score(floats, offsets)
        case "evaluation":
            value, *policy = floats
            return Evaluation(value, tuple(policy) or None)
        case kind:
            raise ValueError(f"it holds an answer of unknown kind {kind!r}")


def request_of(kind: str, prompt: bytes, request: bytes) -> Request:
    """The request that was stored with an answer; its key is the entry's."""
    asked = prompt_of(prompt)
    match kind, json.loads(text_of(request)):
        case "completion", [sampling, sample_idx, *model]:
            sampling["stop"] = tuple(sampling["stop"])
            return CompletionRequest(asked, Sampling(**sampling), sample_idx, *model)
        case "choice", [choices]:
            return ChoiceRequest(asked, tuple(choices))
        case "score", [text]:
            return ScoreRequest(asked, text)
        case "evaluation", [model, question, steps, answer]:
            read = tuple(Step(text, Factor(factor)) for factor, text in steps)
            return EvaluationRequest(Trace(question, read, answer), model)
        case _:
            raise ValueError(f"no request of kind {kind!r} has the fields {request!r}")


def model_of(entry: Entry) -> bytes | None:
    """Fingerprint of the model that wrote a completion: a member of a team, or the engine."""
    match json.loads(text_of(entry.request or b"[]")):
        case [_, _, str(model)]:
            return bytes_of(model)
        case _:
            return entry.fingerprint


def prompt_of(data: bytes) -> Prompt:
    """The prompt that was stored as JSON."""
    plain = json.loads(text_of(data))
    if isinstance(plain, str):
        return plain
    return Chat(tuple(Message(**message) for message in plain["messages"]), plain["prefill"])


def checksum(entry: Entry) -> int:
    """CRC-32 of all fields; the prompt has its part in it by its hash."""
    parts = [
        entry.key,
        entry.fingerprint,
        entry.prompt_hash,
        entry.kind.encode(),
        entry.request,
        None if entry.finish is None else entry.finish.encode(),
        entry.text,
        entry.logprobs,
        entry.ends,
    ]
    lengths = _LENGTHS.pack(*(-1 if part is None else len(part) for part in parts))
    return zlib.crc32(b"".join([lengths, b"%d" % entry.n_tokens, *(part or b"" for part in parts)]))


def is_intact(entry: Entry, stored: int | None) -> bool:
    """Whether an entry is what its checksum says, and can be read."""
    try:
        if stored is not None and checksum(entry) != stored:
            return False
        answer_of(entry)
    except (ValueError, TypeError, AttributeError):
        return False  # a damaged record can hold a number where there was text
    return True


def has_prompt(stored: Stored) -> bool:
    """Whether an entry's prompt is there and is the one that was asked."""
    # A damaged record can hold text where there were bytes.
    prompt: object = stored.prompt
    return isinstance(prompt, bytes) and hash_of(prompt) == stored.entry.prompt_hash


def fault_of(stored: Stored) -> str | None:
    """What is wrong with an entry, prompt and content address included; ``None`` if nothing is."""
    entry, prompt, written = stored
    if not is_intact(entry, written):
        return "its checksum does not match"
    if entry.request is None or entry.fingerprint is None:
        return None
    if not has_prompt(stored) or prompt is None:
        return "its prompt is damaged"
    identity = f"[{text_of(prompt)},{text_of(entry.request)[1:]}"
    if _address(text_of(entry.fingerprint), entry.kind, identity) != entry.key:
        return "its key is not that of its request"
    return None
