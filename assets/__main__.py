"""``python -m assets`` is the ``datagen`` command."""

from assets.cli import main

main()
