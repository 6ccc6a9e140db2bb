"""The library: engines, search, verification, labels and exports.

Nothing here knows of Dagster; the application that schedules this library lives in ``assets``.
"""
