"""Annotation: documents for people, labels and spans from them, and how far the people agree."""
