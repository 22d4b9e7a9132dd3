"""A plug-in of genbench: independent Gaussian pixels, a schedule, a set of stripes, and a score of grey levels."""
