"""Networks: tensors in, tensors out; `fast.py` holds what is written by hand for speed.

Know the contracts that lie beside the mathematics (`vaes.network`, `flows.network`, ..) and no training.
"""
