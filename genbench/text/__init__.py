"""Text as a condition of images: tokens, what a text encoder makes of them, and the encoders.

Knows tensors and limits of whole numbers; every other folder may import it.
"""
