"""`python -m genbench` is the console script `genbench`."""

from genbench.cli.main import main

if __name__ == "__main__":
    main()
