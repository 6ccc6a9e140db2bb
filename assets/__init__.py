"""The application: Dagster definitions and the ``datagen`` command."""
