"""One file per command: flags become settings, the result becomes text and JSON."""
