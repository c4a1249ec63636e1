"""``python -m audiosep``: the same as the ``audiosep`` command."""

from audiosep.cli import main

if __name__ == "__main__":
    main()
