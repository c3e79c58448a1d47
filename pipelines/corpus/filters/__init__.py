"""Quality signals as attribute tables, rules over them, and the filter that applies the decision."""
