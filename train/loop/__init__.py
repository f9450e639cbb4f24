"""From a configuration to a finished run: assembly, two phases, and what happens between steps."""
