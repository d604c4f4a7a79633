"""`python -m qspin`."""

import sys

from qspin.run.command import main

sys.exit(main())
