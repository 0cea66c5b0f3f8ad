"""``python -m sparsereg``."""

from sparsereg.commands import main

if __name__ == "__main__":
    main()
