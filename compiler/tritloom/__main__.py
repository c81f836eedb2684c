"""`python -m tritloom` is the `tritloom` command."""

import sys

from tritloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
