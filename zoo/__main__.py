"""python -m zoo: the family as a table, or the derivation of a model or of any objective."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from zoo import imports
from zoo.errors import InputError
from zoo.objectives import derivation, family
from zoo.objectives.affine import number_text
from zoo.objectives.objective import Objective

COLUMNS = ("model", "alpha_q", "alpha_p", "constraints", "class", "trained")


def table() -> list[dict[str, str]]:
    """Returns one row per model of the family, in symbols."""
    rows = []
    for name in family.names():
        symbolic = family.get(name).symbolic()
        form = symbolic.tractable()
        alpha_q, alpha_p = derivation.effective_alpha(form)
        rows.append(
            {
                "model": name,
                "alpha_q": number_text(alpha_q),
                "alpha_p": number_text(alpha_p),
                "constraints": ", ".join(derivation.constraints_text(symbolic)),
                "class": form.hardness,
                "trained": derivation.form_text(form),
                "parameters": ", ".join(
                    f"{n}={v if isinstance(v, str) else number_text(v)}"
                    for n, v in family.get(name).defaults.items()
                ),
                "source": family.get(name).source,
            }
        )
    return rows


def print_table(rows: list[dict[str, str]]) -> None:
    widths = {c: max(len(c), *(len(row[c]) for row in rows)) for c in COLUMNS}
    for row in [{c: c for c in COLUMNS}, *rows]:
        print("  ".join(row[c].ljust(widths[c]) for c in COLUMNS).rstrip())


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m zoo",
        description="Latent-variable models as points of one constrained problem.",
        allow_abbrev=False,
    )
    result.add_argument("model", nargs="?", help="a model of the family; without it, the table")
    result.add_argument("--alpha_q", help="weight of I_q(x;z); positive minimises information")
    result.add_argument("--alpha_p", help="weight of I_p(x;z)")
    result.add_argument(
        "--constraint",
        action="append",
        default=[],
        help="a constraint such as '0.5*JS(q(x,z)||p(x,z))' or 'MMD(q(z)||p(z)) <= 5e-4'",
    )
    result.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a model's own parameter"
    )
    result.add_argument("--implicit_encoder", action="store_true", help="q(z|x) has no density")
    result.add_argument(
        "--reverse_rate", action="store_true", help="estimate RATE_p by density ratio"
    )
    result.add_argument(
        "--import",
        action="append",
        default=[],
        dest="imports",
        metavar="MODULE",
        help="a module of yours, such as my_parts, that registers divergences",
    )
    result.add_argument("--json", action="store_true", help="print JSON, for machines")
    return result


def chosen(arguments: argparse.Namespace) -> Objective | None:
    """Returns the objective that the command line asks for, or None for the table."""
    free = arguments.alpha_q is not None or arguments.alpha_p is not None or arguments.constraint
    capability = arguments.implicit_encoder or arguments.reverse_rate
    if arguments.model and (free or capability):
        raise InputError(
            f"Give either the model {arguments.model!r} or --alpha_q, --alpha_p and --constraint."
        )
    if arguments.model:
        return family.objective(arguments.model, **family.parse_parameters(arguments.set))
    if arguments.set:
        raise InputError(f"--set {arguments.set[0]!r} needs a model: python -m zoo NAME --set ...")
    if capability and not free:
        raise InputError(
            "--implicit_encoder and --reverse_rate describe an objective: give --constraint too."
        )
    if not free:
        return None
    return Objective(
        alpha_q=arguments.alpha_q or "0",
        alpha_p=arguments.alpha_p or "0",
        constraints=arguments.constraint,
        implicit_encoder=arguments.implicit_encoder,
        reverse_rate=arguments.reverse_rate,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 with one sentence on stderr if its input is wrong."""
    try:
        options = parser().parse_args(arguments)
        imports.load(options.imports)
        objective = chosen(options)
        if objective is not None and options.json:
            print(json.dumps(derivation.as_json(objective), indent=2))
        elif objective is not None:
            print(objective.explain())
        elif options.json:
            print(json.dumps(table(), indent=2))
        else:
            print_table(table())
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `python -m zoo | head` ends without error
    sys.exit(main())
