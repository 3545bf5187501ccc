"""`python -m blindsr` is the command line."""

from blindsr.cli import main

if __name__ == "__main__":
    main()
