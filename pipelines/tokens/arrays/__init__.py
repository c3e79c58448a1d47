"""Token arrays: documents as one flat file of ids per part and split, with an index back to the documents."""
