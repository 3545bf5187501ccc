"""The version of this package, for whoever must name it without importing the rest."""

__version__ = "0.2.0"
