"""The contract that every chapter stands on: documents, artifacts, manifests, fingerprints, parts, decisions, seeds."""
