"""Topics: the published lists, a topic for each document, and subsets by a query or by seed documents."""
