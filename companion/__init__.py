"""Logits under control: five modifications of cross-entropy training.

The library of the book of the same name. Importing it loads torch and numpy and nothing else.
"""

__version__ = "0.1.0"
