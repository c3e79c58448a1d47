"""From records to documents: encodings found, main content extracted, text normalized, parts cut."""
