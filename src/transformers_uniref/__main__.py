"""`python -m transformers_uniref` is `uniref`."""

import sys

from .frontends.cli.main import main

sys.exit(main())
