"""One page that says what an encoder is worth on a reader's own pictures."""
