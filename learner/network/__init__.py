"""The joint network of Fan et al. 2023: encoder (FEX), LA-Net with CBAM, and the attention-based classifier.

Shape legend: B batch, C channels, H W height and width, K classes, L levels of the encoder.
"""
