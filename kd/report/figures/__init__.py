"""The figures of a report: one file for each, ``draw.py`` for all of them, ``style.py`` for how they look."""
