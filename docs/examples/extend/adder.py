"""An engine of your own: no model, but rules that add lengths up, and slip now and then."""

import math
import random
import re

from datagen.engines.protocol import Choice, Completion, Score, Usage
from datagen.traces.markup import THINK_END


class Adder:
    batch_size, concurrency = 64, 1  # up to 64 requests in a call, one call at a time

    def __init__(self, settings):  # section [engine]
        self.slips = settings.options.get("slips", 0.2)
        self.fingerprint = f"adder:1:{self.slips}"  # whatever shapes its answers
        self.usage = Usage()

    async def complete(self, requests):
        return [self._complete(request, random.Random(request.seed)) for request in requests]

    async def choose(self, requests):  # any factor may come next
        return [Choice((1 / len(request.choices),) * len(request.choices)) for request in requests]

    async def score(self, requests):  # rules have no log-probabilities
        return [Score((), ()) for _ in requests]

    def close(self): ...

    def _complete(self, request, rng):
        text = ""
        while THINK_END not in text and not any(stop in text for stop in request.sampling.stop):
            text += _step(request.prompt + text, slip=10 * (rng.random() < self.slips))
        ends = [word.end() for word in re.finditer(r"\S+\s*", text)]  # words are its tokens
        self.usage.n_generated_tokens += len(ends)
        return Completion(text, "stop", (math.nan,) * len(ends), tuple(ends))


def _step(text, slip):
    question, _, thought = text.partition("<Think_Start>")
    left = re.findall(r"(\d+) (m|cm)\b", question)[thought.count("-End>") :]
    total = int(re.findall(r"= (\d+) cm", "= 0 cm" + thought)[-1])
    given = re.search(r"<ACT_(\w+)-Start> $", thought)  # the search has chosen the factor
    factor = given[1] if given else "Compute" if left else "Answer"
    n = int(left[0][0]) * {"m": 100, "cm": 1}[left[0][1]] + slip if left else 0
    words, end = f"{total} + {n} = {total + n} cm", ""
    if factor == "Answer":
        words, end = f"{total} cm", f"{THINK_END}{total} cm"
    return f"{'' if given else f'<ACT_{factor}-Start> '}{words} <ACT_{factor}-End>\n{end}"
