"""The version, in a file that packaging reads without importing the package."""

__version__ = "0.1.0"
