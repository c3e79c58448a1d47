"""Mixtures: weights from token counts, the order of examples as arithmetic, packing, the dataset, and the way back."""
