"""`python -m minikubelet`."""

import sys

if __name__ == "__main__":
    try:
        from minikubelet.cli.main import command

        command()
    except KeyboardInterrupt:  # while that was being imported
        sys.exit(130)
