"""What can be certified about a divergence, and from which side."""

from zoo.bounds.bound import Bound

__all__ = ["Bound"]
