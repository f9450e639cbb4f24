"""The model and its step: samples, terms, the Lagrangian, and what every player does with them."""
