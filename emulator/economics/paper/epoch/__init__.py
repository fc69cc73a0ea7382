"""The epoch-2025 convention: the complete model behind Inference Economics of Language Models (Erdil, Epoch AI, 2025)."""

from inferometer.emulator.economics.paper.epoch.catalogue import load_model
from inferometer.emulator.economics.pricing.paper_accelerators import load_accelerator

__all__ = ["load_accelerator", "load_model"]
