r"""Reads the tagged steps of an instruct model, however it wrote them down; never raises.

The surprising fact: there is no strict reader beside the lenient one. What was written as asked
comes out letter by letter, anything else is repaired on the way and called sloppy, and only what
was cut off stays unread. A model that solves a problem in a form of its own has still solved it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from datagen.engines.protocol import Completion
from datagen.factors.taxonomy import Factor
from datagen.prompts.pieces import Piece, beyond, box_end, parts, pieces_of, tagged, to_answer
from datagen.prompts.reading import Reading, text_of, token_costs
from datagen.prompts.tag_lines import (
    STOP,
    THOUGHT_CLOSES,
    THOUGHT_OPENS,
    opening,
    render_steps,
    tags,
)
from datagen.traces.markup import THINK_END, THINK_START
from datagen.traces.model import Trace
from datagen.verify.extract import extract_answer
from datagen.verify.programs import extract_program, what_it_defines

_FENCE: Final = "```"


def read_rollout(completion: Completion, state: Trace) -> Reading:
    """Read a completion that began at the start of a step, after those of ``state``.

    A model that tells the thought again from its beginning is read from where it goes on. Without
    a boxed answer step at its end a finished completion is sloppy.
    """
    text = text_of(completion)
    pieces, read_from = pieces_of(text)
    kept, rest = _whole(to_answer(beyond(pieces, state)), text, completion)
    return Reading(
        tuple(piece.step for piece in kept),
        _answer(text, completion),
        rest,
        *token_costs(completion, [(piece.begin, piece.end) for piece in kept]),
        sloppy=not _as_asked(kept, rest, text[read_from:])
        or (completion.finish == "stop" and not _boxed(kept)),
    )


def read_segment(completion: Completion, state: Trace, factor: Factor) -> Reading:
    """Read a completion that began inside a step of ``factor``, behind its tag.

    It is one step, whatever follows it; only an answer runs on to the end. A model that begins with
    a tag of its own must come to ``factor``, if need be after telling the steps of ``state`` again.
    """
    tag, said = opening(factor), text_of(completion)
    text = tag + said.removesuffix(STOP)
    answers = factor is Factor.ANSWER
    if THOUGHT_OPENS.match(said.lstrip()):
        shift = len(tag)
        pieces = [replace(p, begin=p.begin + shift, end=p.end + shift) for p in pieces_of(said)[0]]
    else:
        closing = THOUGHT_CLOSES.search(text)
        pieces = tagged(text, (0, closing.start() if closing else len(text)))
    if not pieces or pieces[0].begin > 0:
        pieces = beyond(pieces, state)
    if not pieces or pieces[0].step.factor is not factor:
        return Reading((), None, said, (), (), sloppy=completion.finish == "stop")
    kept, rest = _whole(to_answer(pieces) if answers else pieces[:1], text, completion)
    # A stop string is part of the step that it ends.
    ranges = [(p.begin, p.end if p.end < len(text) else len(tag + said)) for p in kept]
    return Reading(
        tuple(piece.step for piece in kept),
        _answer(said, completion) if answers else None,
        said if rest else "",
        *token_costs(completion, [(begin - len(tag), end - len(tag)) for begin, end in ranges]),
        sloppy=not _as_asked(kept, rest, text) or (answers and not rest and not _boxed(kept)),
    )


def visible(completion: Completion) -> str:
    r"""What a verifier reads.

    That is the last ``[Answer]`` step, else the reply behind a thought, else a ``\boxed{}`` or a
    statement such as *the answer is 18* anywhere. Steps without any of these hold no answer, though
    the last of them may well end in a number.
    """
    return _visible(text_of(completion))


def reply_of(text: str) -> str:
    """What follows a model's thought; everything, if no thought is marked."""
    return text[slice(*parts(text)[1])].strip()


def _visible(text: str) -> str:
    thought, reply = parts(text)
    behind = text[slice(*reply)]
    is_tagged = next(tags(behind), None) is not None
    finals = [_final(tagged(text, reply))]
    if thought is not None:
        finals += ["" if is_tagged else behind, _final(tagged(text, thought))]
    for final in finals:
        if final.strip() and extract_answer(THINK_END + final) is not None:
            return THINK_END + final
    if _FENCE in behind and _is_program(behind):  # which needs no box
        return THINK_END + behind
    if thought is None and not is_tagged:
        return text
    found = extract_answer(behind)
    return behind if found and found.rule in ("boxed", "hashes", "stated") else THINK_START


def _is_program(text: str) -> bool:
    found = extract_program(THINK_END + text)
    return found is not None and what_it_defines(found.answer) == 2


def _final(pieces: Sequence[Piece]) -> str:
    """The last answer's words; empty without one."""
    ended = to_answer(pieces)
    return ended[-1].step.text if ended and ended[-1].answers else ""


def _answer(text: str, completion: Completion) -> str | None:
    found = extract_answer(_visible(text))
    return found.answer if found and (completion.finish == "stop" or found.closed) else None


def _whole(
    pieces: Sequence[Piece], text: str, completion: Completion
) -> tuple[Sequence[Piece], str]:
    """The pieces that are complete, and the text of the one that was cut off."""
    cut_off = completion.finish != "stop" and bool(pieces) and pieces[-1].end >= len(text)
    if cut_off and not _boxed(pieces):
        return pieces[:-1], text[pieces[-1].begin :]
    return pieces, ""


def _boxed(pieces: Sequence[Piece]) -> bool:
    """Whether the last piece is an answer in a box."""
    return bool(pieces) and pieces[-1].answers and box_end(pieces[-1].step.text) > 0


def _as_asked(pieces: Sequence[Piece], rest: str, text: str) -> bool:
    """Whether ``text`` is what these steps should have looked like, but for white space."""
    return _lines(render_steps(piece.step for piece in pieces) + rest) == _lines(text)


def _lines(text: str) -> list[str]:
    return [words for line in text.split("\n") if (words := " ".join(line.split()))]
