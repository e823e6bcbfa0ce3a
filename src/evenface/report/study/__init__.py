"""The page of a study, its run pages, its tables and texts."""
