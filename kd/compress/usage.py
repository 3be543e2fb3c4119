"""A few lines of Python beside an exported ONNX file, which use it without kd and without torch."""

from __future__ import annotations

from pathlib import Path

from kd.files import write_text

USAGE = "use_model.py"

_TEXT = '''\
"""Name what an image shows: python use_model.py photo.jpg. Needs onnxruntime, NumPy and Pillow, and nothing of kd."""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime
from PIL import Image, ImageOps

model = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")))
card = json.loads(model.get_modelmeta().custom_metadata_map["kd"])
size, mode = (card["image_size"],) * 2, "L" if card["in_channels"] == 1 else "RGB"
mean, std = (numpy.array(card[name], "float32").reshape(-1, 1, 1) for name in ("mean", "std"))

for path in sys.argv[1:]:
    photo = ImageOps.exif_transpose(Image.open(path)).convert(mode)
    image = ImageOps.fit(photo, size, Image.Resampling.BILINEAR)
    pixels = numpy.asarray(image).reshape(1, *size, -1).transpose(0, 3, 1, 2)
    takes_pixels = model.get_inputs()[0].type == "tensor(uint8)"
    images = pixels if takes_pixels else ((pixels / numpy.float32(255) - mean) / std).astype("float32")
    logits = model.run(["logits"], {"images": images})[0][0]
    chosen = numpy.flatnonzero(logits > 0) if card["multi_label"] else [logits.argmax()]
    print(f"{path}: {', '.join(card['classes'][number] for number in chosen)}")
'''


def write_usage(folder: Path) -> None:
    """Write the lines into the folder of a file called ``model.onnx``."""
    write_text(folder / USAGE, _TEXT)
