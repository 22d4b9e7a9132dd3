"""A page on which people draw from a trained model: `drawing` draws, `page` is what the browser shows."""
