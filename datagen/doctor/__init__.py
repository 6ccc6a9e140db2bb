"""Examine the machine: what is here, what is missing, and what to do about it.

It has to work where hardly anything does. So nothing in here imports anything of ours or anything
heavy at its top, every import made on the way is an experiment whose failure is a finding, and the
doctor neither asks the network nor leaves a trace on the disk.
"""

from datagen.doctor.examination import examine
from datagen.doctor.finding import Finding, Status, render

__all__ = ["Finding", "Status", "examine", "render"]
