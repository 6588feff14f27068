"""One training loop, the records that name a run, and what is measured on the way."""
