"""One step that performs each built-in thought factor, and one that people mistake for it.

Keyed by name and apart from the taxonomy, so that the list of factors stays a page long. A counter
example is worth more than a longer definition: most disagreement between two people who tag the
same trace is about a few pairs of neighbours, and each pair is shown here from at least one side.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Description:
    """A factor shown rather than defined.

    Attributes:
        example: a step that performs the factor.
        counter_example: a step that looks like it and performs another.
        counter_factor: name of the factor that the counter example really performs.
    """

    example: str
    counter_example: str
    counter_factor: str


DESCRIPTIONS: Final[dict[str, Description]] = {
    "RestateGoal": Description(
        "So what they want is the number of litres that are left on Friday evening.",
        "Next I need the number of litres used up to Wednesday.",
        "SetSubgoal",
    ),
    "ExtractGivens": Description(
        "We know that AB = AC and that the angle at A is 40°.",
        "The angles of a triangle add up to 180°.",
        "RecallFact",
    ),
    "Formalise": Description(
        "Call the smaller number n; the condition then reads n(n + 1) = 182.",
        "Two consecutive numbers have the product 182.",
        "ExtractGivens",
    ),
    "RecallFact": Description(
        "In Python, slicing past the end of a list gives no error, just a shorter list.",
        "Sliding windows are made for sums over consecutive items.",
        "RecallMethod",
    ),
    "RecallMethod": Description(
        "Vieta's formulas are the tool here, since only the sum of the roots matters.",
        "I'll read the sum of the roots off the coefficients and then subtract the known root.",
        "Plan",
    ),
    "Decompose": Description(
        "The figure consists of a rectangle and a half circle; take their areas separately.",
        "First the rectangle's area, then half of πr², and at the end add the two.",
        "Plan",
    ),
    "SetSubgoal": Description(
        "What did the second shirt cost? That has to be found now.",
        "Well, what's asked for is how much change Tim gets back.",
        "RestateGoal",
    ),
    "Plan": Description(
        "Sort the intervals by start, walk through them once, and merge each with the last one "
        "kept if the two overlap.",
        "Merging splits into two jobs: putting the intervals in order, and joining those that "
        "overlap.",
        "Decompose",
    ),
    "CaseSplit": Description(
        "If x ≥ 2 the bars can be dropped; otherwise the sign turns round. Take x ≥ 2 first.",
        "The surface has two parts, the lid and the wall, and both have to be painted.",
        "Decompose",
    ),
    "Hypothesise": Description(
        "Hmm, 1, 4, 9... maybe the number of open doors is always a perfect square.",
        "With 10 doors: 1, 4 and 9 stay open, so 3 of them.",
        "TryExample",
    ),
    "TryExample": Description(
        "Let me play it with just 4 cards: after one shuffle 1, 3, 2, 4, after two 1, 2, 3, 4.",
        "The deck has 52 cards, so half of it is 52 / 2 = 26.",
        "Compute",
    ),
    "Deduce": Description(
        "Since p divides the product and does not divide a, it must divide b.",
        "5b = 35, and so b = 7.",
        "Compute",
    ),
    "Compute": Description(
        "8 boxes of 12 make 96 eggs, and 96 - 7 = 89 are whole.",
        "An odd number of eggs cannot be shared equally by two people.",
        "Deduce",
    ),
    "SimulateExecution": Description(
        "i = 0: total = 4. i = 1: total = 4 + 9 = 13. i = 2: total stays 13, as xs[2] is negative.",
        "The loop adds 4 and 9, so total = 4 + 9 = 13.",
        "Compute",
    ),
    "BackwardChain": Description(
        "To know the height I would need the volume, and for the volume the mass is enough.",
        "Now let's find the volume.",
        "SetSubgoal",
    ),
    "CheckStep": Description(
        "Let me do 17 · 6 again: 60 + 42 = 102, yes.",
        "Put x = 17 back into the equation: 17 · 6 = 102 as wanted, so the solution holds.",
        "CheckResult",
    ),
    "CheckResult": Description(
        "Do the shares add up? 45 + 30 + 25 = 100, exactly what was to be divided.",
        "Did I take 30 percent of the right amount a moment ago? Yes, of 100.",
        "CheckStep",
    ),
    "DetectError": Description(
        "Wait, I treated the discount as 15, but it is 15 percent.",
        "Wait, is the discount taken off before the tax? Yes, the text says so.",
        "CheckStep",
    ),
    "CorrectError": Description(
        "The discount is 0.15 · 80 = 12 and not 15, so she pays 68.",
        "80 - 15 can't be right, that isn't how percentages work.",
        "DetectError",
    ),
    "Backtrack": Description(
        "Placing the queen on c3 leaves no free square in row 5. Back to row 3, where d3 was open.",
        "Placing queens one by one takes forever; count the permutations instead.",
        "SwitchApproach",
    ),
    "SwitchApproach": Description(
        "Coordinates are turning into a mess. Let me start over with similar triangles.",
        "That value of k leads nowhere, so return to the equation before it was put in.",
        "Backtrack",
    ),
    "AssessProgress": Description(
        "Good, this looks promising: only the last digit is still missing.",
        "So far we have the hundreds digit 4 and the tens digit 7.",
        "Consolidate",
    ),
    "Consolidate": Description(
        "To sum up: the train needs 3 hours, the bus 5, and both leave at noon.",
        "Therefore the train arrives 2 hours before the bus, which answers the question.",
        "Answer",
    ),
    "Answer": Description(
        "The final answer is \\boxed{68}.",
        "80 - 12 = 68.",
        "Compute",
    ),
    "Other": Description(
        "Okay, a nice little puzzle. Here we go.",
        "This is getting ugly, and I doubt that it will end.",
        "AssessProgress",
    ),
}
"""By name of the factor, in the order of the taxonomy."""
