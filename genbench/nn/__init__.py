"""Networks: tensors in, tensors out.

Know the contracts that lie beside the mathematics (`vaes.network`, `flows.network`, ..) and no training.
"""
