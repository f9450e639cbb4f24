"""What a run achieved: bounds on held-out data, verdicts, and the page that says so."""
