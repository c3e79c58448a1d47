"""Metadata: numeric columns out of the documents' `meta`, their gaps filled or dropped, their outliers marked."""
