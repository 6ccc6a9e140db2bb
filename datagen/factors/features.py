"""What a classifier sees of a step: its words, turns of phrase that betray an action, its place.

A step's function shows less in what it is about than in how it goes about it, so names and numbers
are noise: digits are all written as 0, and what remains of a number is where it came from (the
question, an earlier step, or nowhere yet). The phrases are grouped by what they usually announce;
no group decides anything by itself.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datagen.traces.model import Trace

_PHRASES: Final = {
    "goal": r"need(?:ed)? to (?:find|know|determine|show|prove|return|count)|asked (?:for|to)"
    r"|wanted|question (?:is|asks|wants)|wants? (?:to|the|us)|goal|looking for|we are to"
    r"|find the|task|must (?:return|output)",
    "givens": r"given|we know|the (?:problem|question|statement) (?:says|states|gives|tells)|told"
    r"|known|states that|there are|facts|input is|has|have|data",
    "symbols": r"let \$?[a-z]|denote|call (?:it|them|the)|define|write .* as|in symbols|variable"
    r"|equation|signature|stands? for|be the (?:number|price|age|length|set|cost)|def \w+\(",
    "fact": r"recall|remember|fact|known that|in general|by definition|always|identity|constant"
    r"|there are .* in (?:a|an|one)|formula|means that",
    "method": r"theorem|method|technique|algorithm|lemma|principle|trick|formula|rule|induction"
    r"|dynamic programming|two.pointers?|bfs|dfs|binary search|sieve|inclusion|vieta|am.gm"
    r"|standard|classic|use|using|apply|tool",
    "parts": r"parts?|split|break|separate(?:ly)?|pieces|components?|sub-?problems?"
    r"|two (?:things|halves|jobs|tasks)|divide .* into|apart|independent",
    "next": r"(?:next|now|first)\b.*\b(?:find|need|determine|get|figure|work out|compute|question)",
    "plan": r"plan|first\b.*\bthen|then\b.*\b(?:then|finally|last)|(?:i|we)(?:'ll| will)|going to"
    r"|step 1|order|strategy|finally",
    "case": r"cases?|either|if .* (?:is|are) (?:even|odd|positive|negative|zero)|alternatives?"
    r"|possibilit\w*|scenario|branch|otherwise|options?",
    "guess": r"maybe|perhaps|might|guess|suspect|conjecture|probably|i bet|hypothes\w*|seems?"
    r"|presumably|could it be|looks like|suppose|hunch|i'd say|expect",
    "example": r"try|for (?:example|instance)|say|e\.g|take|test|small|with n|n ?= ?\d|pick|plug"
    r"|concrete|example|sample|trial",
    "so": r"so|since|because|thus|hence|therefore|must|implies|follows|means|forces|cannot|can't"
    r"|only way|which leaves|impossible|contradiction",
    "states": r"iteration|loop|pass|i ?= ?\d|step \d|after|starts? (?:as|with|at|out)|becomes?"
    r"|now holds?|state|queue|stack|returns?|prints?|round|turn|day \d|then",
    "needs": r"in order to|would need|suffices?|enough to|backwards?|from the (?:goal|end|target)"
    r"|to get .* (?:need|must)|for that|that requires|if (?:we|i) (?:had|knew)|would follow"
    r"|last (?:move|step)|reduces to",
    "check": r"check|verify|double.check|sanity|confirm|does (?:that|this|it)"
    r"|is (?:that|this) right|re-?(?:check|read|do|count|compute|calculate)|indeed"
    r"|matches|holds|consistent|agrees?|fits?"
    r"|correct|fine|plausible|makes sense|as (?:the question|required|expected)",
    "wrong": r"wait|hmm|hold on|oops|no,|not right|wrong|mistake|error|slip|forgot|missed|misread"
    r"|overlooked|isn'?t|can'?t be|doesn'?t|double.count|left out|bug|off by",
    "right": r"should (?:be|have)|instead of|correct(?:ed|ion|ing)?|not \$?\d|fix|rather than"
    r"|actually|make that|redo|right (?:value|number|figure)|replace|so it(?:'s| is)",
    "return": r"back (?:to|up)|return(?:ing)? to|go(?:ing)? back|dead end|abandon|undo|give up"
    r"|discard|rewind|leave (?:this|that)|dies|nowhere|scrap|drop (?:this|that)",
    "switch": r"(?:another|other|new|different) (?:way|approach|method|route|angle|idea)"
    r"|different(?:ly)?|alternative(?:ly)?|instead|switch|start over|let me (?:try|use)|change of",
    "progress": r"promising|getting|progress|close|halfway|left|remains?|still (?:need|missing|to)"
    r"|only .* (?:missing|left)|messy|ugly|stuck|hard|easy|almost|nearly|on track"
    r"|good (?:sign|shape)|worth|far|hopeless|unclear|done|enough",
    "gather": r"so far|summar\w*|collect|together|altogether|in total|putting|recap|to sum"
    r"|(?:now )?have found|we (?:now )?have|list|gather|overall|at this point|up to now",
    "answer": r"answer|final|boxed|therefore .* (?:is|are)|option|in conclusion|result",
    "aside": r"okay|alright|sure|great|fun|nice|thanks|hello|hi|happy|hope|interesting|love|funny"
    r"|format|latex|bold|coffee|anyway|let'?s (?:go|begin|start|dive)",
}
_PHRASE_RES: Final = [
    re.compile(rf"\b(?:{words})(?!\w)", re.IGNORECASE) for words in _PHRASES.values()
]
_OPENING: Final = 45
"""A phrase within so many characters announces the step; one behind may just be in it."""

_NUMBER: Final = re.compile(r"\d+")
_DIGIT: Final = re.compile(r"\d")
_RESULT: Final = re.compile(r"[=≈][^=≈\n]*\d")

_MOST: Final = 2_000
"""Characters of a step in which phrases are looked for; their patterns take quadratic time."""


def words(trace: Trace) -> list[str]:
    """Text of each step, ``(n_steps,)``, lower-cased and with all digits alike."""
    return [_DIGIT.sub("0", step.text.lower()) for step in trace.steps]


def phrases(trace: Trace) -> NDArray[np.float64]:
    """How often each group of phrases occurs in a step, and whether in its opening.

    Returns:
        ``(n_steps, 2 * n_groups)``; counts stop at 2.
    """
    rows = [
        [
            value
            for phrase in _PHRASE_RES
            for value in (
                min(len(phrase.findall(step.text[:_MOST])), 2),
                float(phrase.search(step.text[:_OPENING]) is not None),
            )
        ]
        for step in trace.steps
    ]
    return np.array(rows, dtype=np.float64).reshape(len(trace.steps), 2 * len(_PHRASE_RES))


def marks(trace: Trace) -> list[str]:
    """Shape and place of each step, ``(n_steps,)``, as a text of marks parted by spaces."""
    asked = set(_NUMBER.findall(trace.question))
    before: set[str] = set()
    found: list[str] = []
    for idx, text in enumerate(words(trace)):
        raw = trace.steps[idx].text
        numbers = set(_NUMBER.findall(raw))
        found.append(" ".join(_marks(idx, len(trace.steps), text, raw, numbers, asked, before)))
        before |= numbers
    return found


def _marks(
    idx: int,
    n_steps: int,
    text: str,
    raw: str,
    numbers: set[str],
    asked: set[str],
    before: set[str],
) -> Sequence[str]:
    tokens = text.split() or [""]
    # In a short trace a step has several places; the later in this list counts.
    places = {n_steps - 2: "last_but_one", 1: "second", n_steps - 1: "last", 0: "first"}
    shapes = {
        "question": "?" in raw,
        "equals": "=" in raw,
        "digits": bool(numbers),
        "result": _RESULT.search(raw) is not None,
        "code": "`" in raw,
        "tex": "$" in raw,
        "asked": bool(numbers) and numbers <= asked,
        "known": bool(numbers) and numbers <= asked | before,
        "found": bool(numbers) and numbers <= before and not numbers <= asked,
        "new": not numbers <= asked | before,
    }
    return [
        f"at_{places.get(idx, 'within')}",
        f"quarter_{4 * idx // n_steps}",
        f"words_{min(6, len(tokens) // 6)}",
        f"numbers_{min(4, len(_NUMBER.findall(raw)))}",
        f"begins_{tokens[0]}",
        f"begins_{'_'.join(tokens[:2])}",
        f"ends_{tokens[-1]}",
        *(name for name, holds in shapes.items() if holds),
    ]
