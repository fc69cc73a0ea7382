"""The conventions of Erdil, "Inference Economics of Language Models" (2025), and what the sources print."""
