"""Small image and mask files, written where a test wants them."""

import numpy as np
from PIL import Image

W, H = 64, 48


def picture(path, seed=0, size=(W, H)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def mask_file(path, *rectangles, size=(W, H)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    for x, y, w, h in rectangles:
        mask[y : y + h, x : x + w] = 255
    Image.fromarray(mask).save(path)
