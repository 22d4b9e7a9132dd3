"""Text as a condition of images: tokens, their vectors, and the encoders from the one to the other.

Knows tensors and limits of whole numbers; every folder of models, data and trainings may import it.
"""
