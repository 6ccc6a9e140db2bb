"""The report of a run: one page in which everything that happened can be seen, and be doubted."""

from datagen.report.figures import REPORT_TABLES, Figures, figures
from datagen.report.run import REPORT, WORK, RunReport, work_of_shards
from datagen.report.work import read_work, record_work

__all__ = [
    "REPORT",
    "REPORT_TABLES",
    "WORK",
    "Figures",
    "RunReport",
    "figures",
    "read_work",
    "record_work",
    "work_of_shards",
]
