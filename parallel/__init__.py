"""What runs on a rank: the mesh of ranks, communicators, the control plane. Knows tensors and groups, no models or files."""
