"""``python -m pyasynq``: the command line."""

import sys

from pyasynq.cli import main

sys.exit(main())
