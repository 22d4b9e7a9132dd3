"""Networks whose features the scores compare, each behind one interface.

Know images and weights, and neither scores nor models.
"""
