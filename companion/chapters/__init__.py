"""What each chapter alone says: one module a chapter, under its paper's stem, made of the parts of `companion.page`."""
