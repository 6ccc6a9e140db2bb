"""Makes the environment of Argilla's server: ``python -m datagen.review.server [PIP OPTIONS]``."""

import sys

from datagen.review.server.install import main

sys.exit(main(sys.argv[1:]))
