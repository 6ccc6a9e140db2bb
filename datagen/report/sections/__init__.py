"""The sections of the page, one file for each thing that a reader asks; pure functions of figures.

The surprising fact: a section that has nothing to tell still says so in its place. That nobody has
reviewed the data, or that no cost was recorded, is what its reader must know.
"""
