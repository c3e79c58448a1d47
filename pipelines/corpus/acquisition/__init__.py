"""Where records come from: inventories of declared files, packages as data, and one streaming reader per format."""
