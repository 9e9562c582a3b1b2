"""Reading of records, in batches."""
