"""`python -m minikubelet`."""

import sys

from minikubelet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
