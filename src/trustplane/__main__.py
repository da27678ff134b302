"""`python -m trustplane`: the command line."""

from trustplane.cli import main

if __name__ == "__main__":
    main()
