"""Draw what the tables hold about one id, for reading in a terminal.

Nothing here reads a file or asks a model: a drawing is a function of the tables, and fits itself to
whichever console prints it. Text from the tables is data and stays data: it cannot style itself,
move the cursor or break out of its line.
"""

from datagen.show.draw import draw_tree
from datagen.show.lookup import Found, Tables, find

__all__ = ["Found", "Tables", "draw_tree", "find"]
