"""Conditional distributions, likelihoods and latents, and their capabilities."""
