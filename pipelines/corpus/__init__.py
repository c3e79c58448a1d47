"""The corpus chapter: from declared sources to clean, deduplicated, split documents, each score an attribute table."""
