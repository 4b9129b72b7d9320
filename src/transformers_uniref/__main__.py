"""`python -m transformers_uniref` is `uniref`."""

import sys

from .cli.main import main

sys.exit(main())
