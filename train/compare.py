"""Compares evaluated runs: one table, the rate-distortion plane, information and constraints.

    python -m train.compare runs/*
    python -m train.compare runs/vae runs/alice --out=comparison

Writes compare.md, rate-distortion.png and information.png into --out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags

from train import command
from train.evaluations import comparison
from train.workdirs.workdir import write_atomically
from zoo.errors import InputError, one_line


def main() -> int:
    folders = list(flags.FLAGS.runs)
    if not folders:
        raise InputError("There is nothing to compare: name the runs' folders, as in runs/*.")
    runs = comparison.read(folders)
    if len(runs) < len(folders):
        print(f"{len(folders) - len(runs)} folders hold no evaluation", file=sys.stderr)
    out = Path(flags.FLAGS.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "compare.md", comparison.markdown(runs).encode())
    except OSError as error:
        raise InputError(f"--out={out} cannot be written ({error.strerror}).") from None
    show(runs)
    written = ["compare.md"]
    for name, plot in (
        ("rate-distortion.png", comparison.plot_rate_distortion),
        ("information.png", comparison.plot_information),
    ):
        if plot(runs, out / name):
            written.append(name)
    print(f"{', '.join(written)} are in {out}")
    return command.DONE


def show(runs: list[comparison.Run]) -> None:
    """Prints the table with one column per run, because runs are fewer than metrics."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def shown(cell: str) -> str:
        return escape(one_line(cell))

    heads, rows = comparison.table(runs)
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=24 + 16 * len(rows))
    table = Table()
    table.add_column(heads[0], no_wrap=True)
    for row in rows:
        table.add_column(shown(row[0]))
    for index, heading in enumerate(heads[1:], start=1):
        table.add_row(*(shown(cell) for cell in (heading, *(row[index] for row in rows))))
    console.print(table)


if __name__ == "__main__":
    flags.DEFINE_multi_string("runs", [], "The runs' folders; the flag may be left out.")
    flags.DEFINE_string("out", "comparison", "The folder for the table and plots.")
    command.name_folders("runs", but=("--out",))
    command.run(main, __doc__)
