"""Training: data, runs, evaluation, sweeps, reproductions of the papers' tables, benchmarks."""
