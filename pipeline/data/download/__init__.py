"""Downloads YouTube-8M as published: `yt8m download`."""
