"""Byte-pair tokenizers: trained on a sample or imported, and an encoder whose text can forge no control token."""
