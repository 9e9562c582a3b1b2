"""Data sets, before a pipeline reads them: downloaded, synthetic, named by a vocabulary, counted."""
