"""`python -m qspin`."""

import sys

from qspin.cli import main

sys.exit(main())
