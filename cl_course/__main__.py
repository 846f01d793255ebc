"""`python -m cl_course` is `cl-course`."""

import sys

from cl_course.running.cli import main

sys.exit(main())
