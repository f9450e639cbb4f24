"""Distribution strategies, and the processes that train one model together."""
