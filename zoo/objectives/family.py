"""The family's table: each named model is one short declaration.

Parameters are named as in the models' papers. C_x = E_q(z) KL(q(x|z)||p(x|z)) is consistency of
x given z, C_z = E_p(x) KL(p(z|x)||q(z|x)) of z given x. A declaration is evaluated on numbers to
train, and on symbols to print.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from zoo.errors import InputError, unknown
from zoo.objectives.affine import Number, exact, variable
from zoo.objectives.declaration import Constraint
from zoo.objectives.objective import Objective


@dataclass(frozen=True)
class Member:
    """A named model: its declaration as a function of its parameters, and its source."""

    name: str
    declare: Callable[..., Objective]
    source: str

    @property
    def defaults(self) -> dict[str, Number | str]:
        """The parameters with their defaults: exact numbers, or the text of a tolerance."""
        parameters = inspect.signature(self.declare).parameters.values()
        return {
            p.name: p.default if isinstance(p.default, str) else exact(p.default)
            for p in parameters
        }

    def objective(self, **parameters) -> Objective:
        """Returns the objective at `parameters`; the others keep their defaults."""
        values = self.defaults
        for given, value in parameters.items():
            name = "l" if given == "lambda" else given
            if name not in values:
                if not values:
                    raise InputError(f"Model {self.name!r} has no parameters; remove {given!r}.")
                raise unknown(f"parameter of {self.name!r}", given, values)
            is_tolerance = isinstance(self.defaults[name], str)
            values[name] = str(value) if is_tolerance else exact(value)
        return replace(self.declare(**values), name=self.name, parameters=values)

    def symbolic(self) -> Objective:
        """Returns the objective with every numeric parameter as a symbol."""
        values = {
            name: default if isinstance(default, str) else variable(name)
            for name, default in self.defaults.items()
        }
        return replace(self.declare(**values), name=self.name)


FAMILY: dict[str, Member] = {}
ALIASES = {"lagvae": "lagvae_max"}


def member(source: str):
    """Returns the decorator that adds a declaration to the family's table under its name."""

    def enter(declare: Callable[..., Objective]) -> Callable[..., Objective]:
        FAMILY[declare.__name__] = Member(declare.__name__, declare, source)
        return declare

    return enter


def names() -> list[str]:
    """Returns the names of the family's models, in the table's order."""
    return list(FAMILY)


def get(name: str) -> Member:
    """Returns the named member.

    Raises:
      InputError: no model has that name (offers the nearest).
    """
    name = ALIASES.get(name, name)
    if name not in FAMILY:
        raise unknown("model", name, FAMILY)
    return FAMILY[name]


def objective(name: str, **parameters) -> Objective:
    """Returns a named model's objective, e.g. objective("beta_vae", beta=4).

    Raises:
      InputError: unknown model or parameter, or a value that is not a number.
    """
    return get(name).objective(**parameters)


def parse_parameters(texts: Iterable[str]) -> dict[str, str]:
    """Reads a model's parameters as --set gives them: "beta=4".

    Raises:
      InputError: a text is not NAME=VALUE.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"--set {text!r} is not NAME=VALUE: write it like --set beta=4.")
        pairs[name.strip()] = value.strip()
    return pairs


def _on(expression: str) -> Callable[..., Constraint]:
    return lambda weight=Fraction(1), at_most=None: Constraint(expression, weight, at_most)


C_x, C_z = _on("KL(q(x|z)||p(x|z))"), _on("KL(p(z|x)||q(z|x))")
J_qp, J_pq = _on("KL(q(x,z)||p(x,z))"), _on("KL(p(x,z)||q(x,z))")
Dz_qp, Dz_pq = _on("KL(q(z)||p(z))"), _on("KL(p(z)||q(z))")
Dx_qp, Dx_pq = _on("KL(q(x)||p(x))"), _on("KL(p(x)||q(x))")
JS_x, JS_z, JS_xz = _on("JS(q(x)||p(x))"), _on("JS(q(z)||p(z))"), _on("JS(q(x,z)||p(x,z))")
MMD_z, REC_x = _on("MMD(q(z)||p(z))"), _on("REC_x")


@member("Kingma & Welling 2013; [U] eq. 3")
def vae():
    return Objective(constraints=(J_qp(),))


@member("Higgins et al. 2016; [U] section 4")
def beta_vae(beta=4):
    return Objective(alpha_q=beta - 1, constraints=(C_x(), Dz_qp(beta)))


@member("Barber & Agakov 2003; [U] theorem 3 with its sign mended")
def vmi():
    return Objective(alpha_p=-1, constraints=(C_z(),))


@member("Zhao et al. 2017, [V] eq. 6")
def infovae_kl(a=0, l=2):
    return Objective(alpha_q=-a, constraints=(C_x(), Dz_qp(l)), estimators={"Dz_qp": "ratio"})


@member("Zhao et al. 2017, [V] section 4")
def infovae_mmd(a=0, l=1000):
    return Objective(alpha_q=-a, constraints=(C_x(), Dz_qp(1 - a), MMD_z(a + l - 1)))


@member("Zhao et al. 2017, [V] section 4 and appendix B with its sign mended")
def infovae_stein(a=0, l=2):
    return Objective(alpha_q=-a, constraints=(C_x(), Dz_qp(l)), estimators={"Dz_qp": "stein"})


@member("Zhao et al. 2017, [V] section 4")
def infovae_adversarial(a=0, l=2):
    return Objective(alpha_q=-a, constraints=(C_x(), Dz_qp(1 - a), JS_z(a + l - 1)))


@member("Makhzani et al. 2015; [U] appendix A")
def aae():
    return Objective(alpha_q=-1, constraints=(C_x(), JS_z()))


@member("Tolstikhin et al. 2017")
def wae_mmd(l=1):
    return Objective(alpha_q=-1, constraints=(C_x(), MMD_z(l)))


@member("Tolstikhin et al. 2017")
def wae_gan(l=1):
    return Objective(alpha_q=-1, constraints=(C_x(), JS_z(l)))


@member("Larsen et al. 2016")
def vae_gan(g=1):
    return Objective(constraints=(J_qp(), JS_x(g)))


@member("Chen et al. 2016; [U] section 4")
def infogan(l=1):
    return Objective(alpha_p=-l, constraints=(C_z(l), JS_x()))


@member("Dumoulin et al. 2016; [U] section 2")
def ali():
    return Objective(constraints=(JS_xz(),))


@member("Donahue et al. 2016; [U] section 2")
def bigan():
    return Objective(constraints=(JS_xz(),))


@member("Li et al. 2017; [U] appendix A")
def alice(l=1):
    return Objective(alpha_q=-l, constraints=(C_x(l), JS_xz()))


@member("[U] theorem 5 with its sign mended")
def infobigan(a2=Fraction(-1, 2), l5=1, l6=1):
    return Objective(alpha_p=a2, constraints=(C_z(), Dx_pq(l5), Dx_qp(l6)))


@member("Zhu et al. 2017; [U] appendix A")
def cyclegan(l1=1, l2=1):
    return Objective(alpha_q=-l1, alpha_p=-l2, constraints=(C_x(l1), C_z(l2), JS_x(), JS_z()))


@member("Kim et al. 2017; [U] appendix A")
def discogan(l1=1, l2=1):
    return cyclegan(l1, l2)


@member("Mescheder et al. 2017")
def avb():
    return Objective(constraints=(J_qp(),), implicit_encoder=True)


@member("Pu et al. 2017; [U] appendix A mended")
def as_vae():
    return Objective(constraints=(J_qp(), J_pq(), Dx_qp(), Dz_pq()))


@member("[U] eq. 17-18, alpha_1 < 0")
def lagvae_max(a1=1, e1="best + 4", e2="best + 0.0005"):
    return Objective(alpha_q=-a1, constraints=(C_x(a1), J_qp(at_most=e1), MMD_z(100, at_most=e2)))


@member("[U] eq. 17-18, alpha_1 > 0")
def lagvae_min(a1=1, e1="best + 4", e2="best + 0.0005"):
    return Objective(alpha_q=a1, constraints=(Dz_qp(a1), J_qp(at_most=e1), MMD_z(100, at_most=e2)))


@member("Rezende & Viola 2018, [G] eq. 2")
def geco(kappa="best + 4"):
    return Objective(alpha_q=1, constraints=(Dz_qp(), REC_x(at_most=kappa)))
