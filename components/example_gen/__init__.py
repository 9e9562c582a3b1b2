"""ExampleGen: raw YouTube-8M shards, checked and packed."""
