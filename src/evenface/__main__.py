"""``python -m evenface``, which torchrun needs."""

from evenface.cli.main import main

if __name__ == "__main__":
    main()
