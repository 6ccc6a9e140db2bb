"""Texts of the curation benchmark: word problems out of word lists, and copies in disguise.

The surprising fact: nothing here is read by a model, so the problems need not be wise, only as
different from each other as those of people. Each has 30 to 60 words and up to a dozen free choices
out of long lists; what looks alike was made so on purpose, by :data:`DISGUISES` or :data:`EDITS`.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl

from datagen.factors.taxonomy import Factor

_LISTS: Final[dict[str, str]] = {
    "name": """Ada Aisha Akira Alma Amara Anton Asha Bela Bruno Carla Chidi Clara Dalia Daniel Diego
        Dora Edgar Elena Elias Emeka Farid Fatima Felix Flora Gita Goran Greta Hamid Hana Hector
        Hilda Hugo Ida Igor Imani Ines Ivan Jamal Jana Jonas Jorge Julia Kaito Karim Katya Kemal
        Kofi Lara Leila Lena Leo Lina Luca Malik Mara Marco Maya Mila Milan Nadia Naomi Nia Nico
        Nina Noor Olga Omar Oskar Paula Pavel Petra Priya Quinn Rafael Rania Ravi Rita Rosa Ruth
        Samir Sara Selma Sergei Sofia Stella Tariq Tessa Theo Tomas Uma Vera Victor Wanda Wei Xenia
        Yara Yusuf Zainab Zara Zoltan""",
    "job": """actor architect baker barber blacksmith boatman bookbinder botanist brewer builder
        butcher carpenter cartographer chemist cobbler collector conductor cook courier curator
        dancer dentist diver doctor drummer editor electrician engineer farmer firefighter fisher
        florist gardener geologist glazier goldsmith grocer guide hatter historian innkeeper
        janitor jeweller joiner judge lawyer librarian locksmith mason mechanic merchant midwife
        miller miner musician nurse optician painter pharmacist photographer pilot plumber poet
        porter potter printer ranger roofer sailor sculptor shepherd singer surgeon surveyor
        tailor teacher translator tutor typist usher vet violinist waiter weaver
        welder writer zoologist""",
    "adj": """amber ancient azure blue bright broad brown carved chipped clean coarse copper crimson
        curved dark decorated dented dry dusty early elegant empty engraved faded fancy fine flat
        folded fragile fresh frozen gilded glossy golden gray green handmade heavy hollow imported
        indigo iron ivory jagged knotted large lilac local long marble matte metal mossy narrow new
        odd old orange oval painted pale patched pearl plain polished precious printed purple quaint
        rare red repaired rough round rusty scarlet sealed shiny short silver slender small smooth
        soft solid spare square sturdy tall thin tiny torn twisted unused varnished violet warm
        washed white wide wooden woven wrapped yellow""",
    "item": """anchors apples arrows badges bags balls banners baskets beads bells belts berries
        blankets books bottles bowls boxes bracelets bricks brooches brushes buckets bulbs buttons
        candles cards carpets carrots chairs charms chestnuts clocks coats coins combs compasses
        cups curtains dolls drums eggs envelopes feathers figs flags flutes forks gloves hammers
        hats helmets hinges jars jugs kettles keys kites knives ladders lamps lanterns lemons lenses
        maps marbles masks medals melons mirrors mugs nails needles nuts onions oranges paddles
        pans parcels pears pebbles pencils pens pillows pins pipes plates plums postcards pots
        potatoes puppets puzzles quilts ribbons rings ropes rulers saddles scarves screws seeds
        shells shirts shoes spoons stamps stickers stools strings tiles tickets tools towels toys
        trays tulips umbrellas vases violins whistles wheels""",
    "place": """an attic|a bakery|a barn|the old bank|a boathouse|the botanical garden|a cabin|the
        castle|a cave|the cellar|the chapel|a chest|the city hall|a classroom|the clinic|a cottage|
        the courtyard|a crate|the depot|a desk drawer|the dining hall|the dockyard|a farmhouse|the
        ferry|a field|the fire station|the forest hut|a garage|the granary|a greenhouse|the gym|the
        harbour|a hotel lobby|the ice rink|an inn|the kitchen|a laboratory|the laundry|the library|
        a lighthouse|the loft|the market hall|a meadow|the mill|the mine|the museum|a nursery|an
        office|the opera|an orchard|a pantry|the park|a pavilion|the pharmacy|the pier|a playroom|
        the post office|the quarry|the railway station|a sailing club|the sawmill|a school|the
        shipyard|a shop window|the stable|a storeroom|a studio|the swimming hall|a tent|the theatre|
        the tower|a trailer|the train depot|the tunnel|the vault|a village square|a warehouse|the
        watchtower|the wine cellar|a workshop|the zoo""",
    "when": """at dawn|at dusk|at lunchtime|at midnight|at noon|at sunrise|at teatime|before
        breakfast|before school|by candlelight|during a storm|during the break|during the holidays|
        early in spring|in April|in August|in autumn|in December|in February|in January|in July|in
        June|in March|in May|in November|in October|in September|in summer|in the afternoon|in the
        evening|in the morning|in winter|late at night|on Friday|on Monday|on Saturday|on Sunday|on
        Thursday|on Tuesday|on Wednesday|on a rainy day|on her birthday|on market day|on the first
        of the month|on the last day of term|on the way home|over the weekend|after dinner|after
        the concert|after the harvest|after the parade|after work|a week later|two days later""",
    "reason": """as a present|as a thank you|as a reward|as part of a trade|because of a bet|because
        the shelf is full|by mistake|for a charity sale|for a friend in need|for a game|for a school
        play|for a science project|for a wedding|for an exhibition|for good luck|for half the usual
        price|for safekeeping|for the museum|for the neighbours|for the new season|for the raffle|
        for the summer fair|from a distant cousin|in a great hurry|in a paper bag|in exchange for a
        favour|in three trips|just in case|on behalf of the club|out of kindness|to clear some
        space|to celebrate|to complete a set|to decorate the hall|to fill an order|to help a
        colleague|to keep a promise|to make room|to pay an old debt|to please a customer|to prepare
        for guests|to settle an argument|to surprise a friend|with some reluctance|without a word|
        without being asked""",
    "opener": """Again|All right|Also|And so|Because of that|By that|Carefully now|Continuing|
        Counting on|Further|From there|Going on|Good|Hence|In turn|Keeping track|Looking closely|
        Next|Next up|Now|Okay|On we go|Otherwise put|Put simply|Reading on|Right|Same way|Similarly|
        Simply|So|Step by step|Still|Taking stock|That done|Then|Therefore|Thus|With care|With that|
        Working forward""",
}
WORDS: Final[dict[str, pl.Series]] = {
    field: pl.Series(
        field, re.split(r"\s*\|\s*" if "|" in text else r"\s+", " ".join(text.split()))
    )
    for field, text in _LISTS.items()
}
"""What each field of a template may be."""

START: Final = (
    "{name} the {job} keeps {n} {adj} {item} in {place}.",
    "{when}, {name} counts {n} {adj} {item} and stores all of them in {place}.",
    "There are {n} {adj} {item} in {place}, and every one of them belongs to {name} the {job}.",
    "The {job} {name} has collected {n} {adj} {item} in {place}.",
    "{n} {adj} {item} are waiting in {place} for {name}, once the {job} there.",
    "Long ago {name} bought {n} {adj} {item} from the {job} near {place}.",
)
MORE: Final = (
    "{when} {other} the {job} brings {n} more {reason}.",
    "One {adj} box with {n} others arrives {when} from {place}.",
    "{other}, the {job} from {place}, hands over another {n} {reason}.",
    "{when} a search of {place} turns up {n} that had been forgotten.",
    "Then {n} new ones are bought {when} {reason}.",
    "{other} finds {n} more behind the {adj} door in {place} {when}.",
)
LESS: Final = (
    "{when} {n} of them go to {other} the {job} {reason}.",
    "Sadly {n} are lost in {place} {when}.",
    "{other}, the {adj} {job}, borrows {n} {reason} and never returns them.",
    "Then {n} are sold in {place} {when} {reason}.",
    "The {job} drops one {adj} tray {when}, and {n} of them break.",
    "{n} are given away {when} in {place} {reason}.",
)
ASKED: Final = (
    "How many {item} does {name} have {when}?",
    "How many of the {item} are left for {name} {when}?",
    "What number of {item} does {name} own in the end?",
    "After all this, how many {item} can {name} count {when}?",
    "How many {item} remain with {name} once everything is done {when}?",
)

_COMPUTE: Final = (
    "{opener}, {before} {op} {change} = {after}, so {name} has that",
    "{opener}, the change makes it {before} {op} {change} = {after} {item}",
    "{opener}, from {before} we come to {before} {op} {change} = {after} {when}",
    "{before} {op} {change} = {after}, counting each {adj} one {reason}",
)
STEPS: Final[tuple[tuple[Factor, tuple[str, ...]], ...]] = (
    (
        Factor.RESTATE_GOAL,
        (
            "{opener}, we want the number of {item} that {name} has at the end",
            "{opener}, what is asked for is how many {item} {name} is left with",
            "{opener}, the goal is a count of the {item} of {name}, whatever the {adj} details",
        ),
    ),
    (
        Factor.EXTRACT_GIVENS,
        (
            "{opener}, {name} begins with {start} {item}, and then the changes are {changes}",
            "{opener}, given are {start} {item} at first and the changes {changes}, {when}",
            "{opener}, at first there are {start}, later {changes}; where they lie is {adj} detail",
        ),
    ),
    (
        Factor.PLAN,
        (
            "{opener}, follow the count of {item} through each change in turn",
            "{opener}, add what comes and take away what goes, one {adj} step at a time",
            "{opener}, start from the first number and apply the changes as they come {reason}",
        ),
    ),
    (Factor.COMPUTE, _COMPUTE),
    (Factor.COMPUTE, _COMPUTE),
    (Factor.COMPUTE, _COMPUTE),
    (
        Factor.CHECK_RESULT,
        (
            "{opener}, going back from {value} through the changes we reach {start} again {when}",
            "{opener}, {value} is no {adj} number of {item} and fits the question",
            "{opener}, a second count of the {item} gives {value} as well {reason}",
        ),
    ),
    (
        Factor.ANSWER,
        (
            "{opener}, {name} has {value} {item}",
            "{opener}, the answer is {value}",
            "{opener}, that leaves {value} {item} {when}",
        ),
    ),
)
"""The steps of a trace in order, each with its factor and what it may say."""

DISGUISES: Final = ("verbatim", "cased", "punctuated", "embedded")
EDITS: Final = ("replaced", "dropped", "filler", "swapped")
_FILLERS: Final = ("really", "of course", "in fact", "just", "as it happens", "simply", "indeed")
_COUNTS: Final = ("one", "two", "three", "half", "first", "second", "third")
_MARKS: Final = ("", " ;", "!", " …", " -", ",,")
_CASES: Final[tuple[Callable[[str], str], ...]] = (str.upper, str.lower, str.title, str.swapcase)


def filled(frame: pl.DataFrame, templates: Sequence[str], rng: np.random.Generator) -> pl.Series:
    """One of the templates per row, its fields taken from the row, or else from the word lists.

    Args:
        frame: what is given; a column is a field.
        templates: texts with ``{field}`` in them.
        rng: what chooses.
    """
    n = frame.height
    parts = [re.split(r"\{(\w+)\}", template) for template in templates]
    fields = {field for part in parts for field in part[1::2]} - set(frame.columns)
    lists = {field: WORDS["name" if field == "other" else field] for field in sorted(fields)}
    drawn = [word[rng.integers(len(word), size=n)].alias(field) for field, word in lists.items()]
    pick = pl.Series("pick", rng.integers(len(templates), size=n))
    texts = (
        pl.concat_str(pl.col(x) if i % 2 else pl.lit(x) for i, x in enumerate(part) if x)
        for part in parts
    )
    chosen = pl.coalesce(pl.when(pl.col("pick") == k).then(text) for k, text in enumerate(texts))
    first = chosen.str.slice(0, 1).str.to_uppercase()
    return frame.with_columns(*drawn, pick).select(text=first + chosen.str.slice(1))["text"]


def disguised(text: str, disguise: str, rng: random.Random, around: Sequence[str]) -> str:
    """A question as it may be met elsewhere.

    Args:
        text: the question.
        disguise: one of :data:`DISGUISES`.
        rng: what chooses.
        around: sentences to embed it between, two or more.
    """
    match disguise:
        case "cased":
            return rng.choice([case for case in _CASES if case(text) != text])(text)
        case "punctuated":
            mark = rng.choice(_MARKS)
            return re.sub(r"[,;:.!?]+(?=\s|$)", mark, text).replace("'", "’")
        case "embedded":
            return f"{around[0]}\n\n{text} {around[1]}"
        case _:
            return text


def edited(text: str, edit: str, rng: random.Random) -> str:
    """A text with the same numbers that says nearly the same in nearly the same words.

    Args:
        text: sentences, or steps on lines of their own.
        edit: one of :data:`EDITS`; for ``swapped`` there must be three sentences or more, of which
            the last stays.
        rng: what chooses.
    """
    if edit == "swapped":
        sentences = re.split(r"(?<=[.?!])\s+|\n", text)
        k = rng.randrange(len(sentences) - 2)
        sentences[k : k + 2] = sentences[k + 1], sentences[k]
        return ("\n" if "\n" in text else " ").join(sentences)
    words = re.finditer(r"(?<=\s)[a-z]+(?=[\s,.?])", text)
    word = rng.choice([word for word in words if word.group() not in _COUNTS])
    adjectives: Sequence[str] = WORDS["adj"].to_list()
    new = {
        "replaced": rng.choice([x for x in adjectives if x != word.group()]),
        "dropped": "",
        "filler": f"{rng.choice(_FILLERS)} {word.group()}",
    }[edit]
    return re.sub(" +", " ", text[: word.start()] + new + text[word.end() :])


def dealt(names: Sequence[str], n: int) -> dict[str, range]:
    """Numbers from 0 to ``n`` dealt out to the names, in runs that are equal but for one."""
    bounds = [i * n // len(names) for i in range(len(names) + 1)]
    return {name: range(bounds[i], bounds[i + 1]) for i, name in enumerate(names)}
