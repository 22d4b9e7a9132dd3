"""A plug-in of genbench: independent Gaussian pixels, a schedule, images of stripes, a score of grey."""
