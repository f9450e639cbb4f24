"""The model and its step: samples, terms, Lagrangian, and the updates of all variables."""

from zoo.model.lagrangian_model import LagrangianModel

__all__ = ["LagrangianModel"]
