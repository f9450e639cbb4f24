"""The model and its step: samples, terms, the Lagrangian, and what every player does with them."""

from zoo.model.lagrangian_model import LagrangianModel

__all__ = ["LagrangianModel"]
