"""`python -m timestamp_guard` is `timestamp-guard`."""

import sys

from .cli import main

sys.exit(main())
