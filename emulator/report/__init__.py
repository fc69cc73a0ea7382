"""Tables, summaries and figures for people."""
