"""Conditional distributions, likelihoods and latents, and what each of them can do."""
