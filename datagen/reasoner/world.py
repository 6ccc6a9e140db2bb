"""The embedded reasoner's world: word problems about one quantity that changes a few times.

A problem is data first (a start value and a list of events) and English second, so its true answer
and the truth of every single step are known: that is what the oracle lives on. Everything is drawn
from a seeded RNG, and a problem survives a JSON round trip, so it can ride in a seed's ``meta``.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

Op = Literal["add", "take", "add_groups", "take_groups", "multiply", "divide"]

MAX_VALUE: Final = 400
MIN_EVENTS: Final = 2
MAX_EVENTS: Final = 6


@dataclass(frozen=True, slots=True)
class Event:
    """One change of the quantity.

    Attributes:
        op: what happens; the ``*_groups`` events move ``groups`` lots of ``amount`` each.
        amount: the number that is added, taken, multiplied by or divided by; the size of one lot.
        groups: the number of lots, 1 for the other events.
    """

    op: Op
    amount: int
    groups: int = 1

    @property
    def sign(self) -> str:
        """The arithmetic sign that applies this event: one of ``+ - * /``."""
        return {
            "add": "+",
            "add_groups": "+",
            "take": "-",
            "take_groups": "-",
            "multiply": "*",
        }.get(self.op, "/")

    @property
    def operand(self) -> int:
        """The number that stands right of the sign."""
        return self.amount * self.groups

    @property
    def grouped(self) -> bool:
        """Whether the operand is itself a product."""
        return self.op in ("add_groups", "take_groups")

    def apply(self, value: int) -> int:
        """The quantity after this event."""
        return apply_sign(value, self.sign, self.operand)


def apply_sign(left: int, sign: str, right: int) -> int:
    """``left sign right`` over the integers; division rounds down.

    Raises:
        ValueError: for a sign other than ``+ - * /``, or a division by zero.
    """
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/" if right:
            return left // right
        case _:
            raise ValueError(f"cannot compute {left!r} {sign!r} {right!r}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem: who, what, how many at first, what happens, and the English for it."""

    name: str
    item: str
    start: int
    events: tuple[Event, ...]
    question: str

    @property
    def values(self) -> tuple[int, ...]:
        """The quantity before any event and after each; shape ``(n_events + 1,)``."""
        values = [self.start]
        for event in self.events:
            values.append(event.apply(values[-1]))
        return tuple(values)

    @property
    def answer(self) -> int:
        """The quantity at the end."""
        return self.values[-1]

    @property
    def givens(self) -> str:
        """The numbers in the order of telling, as an ExtractGivens step writes them."""
        told = (f"{e.groups}x{e.amount}" if e.grouped else str(e.amount) for e in self.events)
        return f"start {self.start}; " + "; ".join(told)

    @property
    def plan(self) -> str:
        """The operations in order, as a Plan step writes them."""
        return ", ".join(map(plan_of, self.events))

    def to_json(self) -> str:
        """This problem as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Problem":
        """Read :meth:`to_json` back.

        Raises:
            ValueError: if the text is not such an object.
        """
        try:
            fields = json.loads(text)
            events = tuple(Event(**event) for event in fields.pop("events"))
            return cls(events=events, **fields)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a world problem: {text[:80]!r} ({error})") from error


def plan_of(event: Event) -> str:
    """An event as a Plan step names it, e.g. ``add 4x6``."""
    amount = f"{event.groups}x{event.amount}" if event.grouped else str(event.amount)
    verb = {"+": "add", "-": "take", "*": "times", "/": "split by"}[event.sign]
    return f"{verb} {amount}"


_NAMES: Final = [
    "Tom",
    "Ann",
    "Sam",
    "Mia",
    "Ben",
    "Eva",
    "Leo",
    "Zoe",
    "Max",
    "Ida",
    "Jack",
    "Lily",
    "Omar",
    "Nina",
    "Paul",
    "Rosa",
    "Kim",
    "Raj",
    "Yuki",
    "Carl",
]
_ITEMS: Final = [
    "apples",
    "books",
    "coins",
    "cards",
    "shells",
    "stamps",
    "pens",
    "eggs",
    "beads",
    "stones",
    "cookies",
    "marbles",
    "plums",
    "roses",
    "stickers",
    "buttons",
    "candles",
    "tickets",
    "peaches",
    "bottles",
]
_GROUPS: Final = ["bags", "boxes", "packs", "jars", "baskets"]
_FRIENDS: Final = ["friends", "cousins", "neighbours", "children", "classmates"]
_PLACES: Final = ["market", "garden", "school", "fair", "shop"]

_STARTS: Final = (
    "{name} has {n} {item}.",
    "{name} starts with {n} {item}.",
    "At first {name} owns {n} {item}.",
    "There are {n} {item} in {name}'s room.",
)
_TOLD: Final[dict[Op, tuple[str, ...]]] = {
    "add": (
        "{he} buys {k} more.",
        "{he} finds {k} {item} at the {place}.",
        "A friend gives {him} {k} more {item}.",
        "Then {k} {item} are added.",
        "{he} gets another {k}.",
    ),
    "take": (
        "{he} loses {k} of them.",
        "{he} gives {k} {item} to a friend.",
        "{he} sells {k} at the {place}.",
        "Then {k} {item} get broken.",
        "{he} throws {k} away.",
    ),
    "add_groups": (
        "{he} buys {m} {group} with {k} {item} each.",
        "{he} gets {k} {item} from each of {m} {friends}.",
        "{m} {friends} bring {k} {item} each.",
        "{he} finds {m} {group} of {k} {item}.",
    ),
    "take_groups": (
        "{he} gives {k} {item} to each of {m} {friends}.",
        "{he} sells {m} {group} with {k} {item} each.",
        "{m} {friends} take {k} {item} each.",
        "{he} uses {k} a day for {m} days.",
    ),
    "multiply": (
        "By luck the number of {item} becomes {k} times as large.",
        "Then {he} has {k} times as many.",
        "At the {place} the {item} grow to {k} times that number.",
    ),
    "divide": (
        "{he} shares them equally among {k} {group} and keeps one of these.",
        "{he} splits the {item} into {k} equal parts and keeps one part.",
        "Only one in {k} of the {item} is kept.",
    ),
}
_ASIDES: Final = (
    "The {place} is {k} miles away.",
    "{name} is {k} years old.",
    "It is day {k} of the month.",
)
_ENDS: Final = (
    "How many {item} does {name} have now?",
    "How many {item} are there at the end?",
    "What is the number of {item} in the end?",
    "How many {item} does {name} have left?",
)


def _draw_event(rng: random.Random, value: int, max_value: int) -> Event:
    """An event that keeps the quantity a whole number between 1 and ``max_value``."""
    while True:
        op: Op = rng.choices(
            ("add", "take", "add_groups", "take_groups", "multiply", "divide"),
            (26, 24, 17, 13, 12, 8),
        )[0]
        match op:
            case "add" | "take":
                event = Event(op, rng.randint(2, 49))
            case "add_groups" | "take_groups":
                event = Event(op, rng.randint(2, 9), rng.randint(2, 6))
            case "multiply":
                event = Event(op, rng.randint(2, 4))
            case "divide":
                event = Event(op, rng.randint(2, 5))
        exact = op != "divide" or value % event.amount == 0
        if exact and 1 <= event.apply(value) <= max_value:
            return event


def draw_problem(
    rng: random.Random, *, n_events: int | None = None, max_value: int = MAX_VALUE
) -> Problem:
    """Draw a problem.

    Args:
        rng: source of all randomness.
        n_events: number of changes; from :data:`MIN_EVENTS` to :data:`MAX_EVENTS` if ``None``. The
            reasoner is trained on no other numbers, so more makes problems that are too hard.
        max_value: the quantity never exceeds this; more than :data:`MAX_VALUE` is hard as well.

    Raises:
        ValueError: if ``n_events`` is below 1 or ``max_value`` below 60, the largest start.
    """
    n_events = rng.randint(MIN_EVENTS, MAX_EVENTS) if n_events is None else n_events
    if n_events < 1 or max_value < 60:
        raise ValueError(f"n_events={n_events!r} must be at least 1, max_value={max_value!r} 60")
    start = rng.randint(3, 60)
    events: list[Event] = []
    value = start
    for _ in range(n_events):
        events.append(_draw_event(rng, value, max_value))
        value = events[-1].apply(value)
    name, item = rng.choice(_NAMES), rng.choice(_ITEMS)
    question = _tell(rng, name, item, start, events)
    return Problem(name, item, start, tuple(events), question)


def _tell(rng: random.Random, name: str, item: str, start: int, events: Sequence[Event]) -> str:
    """The problem in English, with an aside that has nothing to do with it now and then."""
    pronoun = _PRONOUN.get(name) or rng.choice(("She", "He"))

    def fill(template: str, k: int = 0, m: int = 0) -> str:
        text = template.format(
            name=name, item=item, n=start, k=k, m=m,
            he=rng.choice((name, pronoun)) if template.startswith("{he}") else pronoun.lower(),
            him="her" if pronoun == "She" else "him",
            group=rng.choice(_GROUPS), friends=rng.choice(_FRIENDS), place=rng.choice(_PLACES),
        )  # fmt: skip
        return text[0].upper() + text[1:]

    sentences = [fill(rng.choice(_STARTS))]
    aside_at = rng.randrange(len(events)) if rng.random() < 0.2 else -1
    for event_idx, event in enumerate(events):
        if event_idx == aside_at:
            sentences.append(fill(rng.choice(_ASIDES), k=rng.randint(2, 30)))
        sentences.append(fill(rng.choice(_TOLD[event.op]), k=event.amount, m=event.groups))
    sentences.append(fill(rng.choice(_ENDS)))
    return " ".join(sentences)


_PRONOUN: Final = {
    **dict.fromkeys(["Tom", "Ben", "Leo", "Max", "Jack", "Omar", "Paul", "Raj", "Carl"], "He"),
    **dict.fromkeys(["Ann", "Mia", "Eva", "Zoe", "Ida", "Lily", "Nina", "Rosa"], "She"),
}
