"""Strategies, and the processes that train one model together."""
