"""Exact terms and training for enumerable x and z."""
