"""`python -m pose_utils`: the command line."""

import sys

from pose_utils.cli import main

sys.exit(main())
