"""Reading records and making batches of them."""
