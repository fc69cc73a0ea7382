"""The epoch-2025 convention: the complete model behind Inference Economics of Language Models (Erdil, Epoch AI, 2025)."""

from inferometer.emulator.economics.epoch.catalogue import load_accelerator, load_model

__all__ = ["load_accelerator", "load_model"]
