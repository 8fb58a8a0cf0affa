"""Pictures as text: data URLs, which is how chat servers take them."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image


def data_url(image: Image.Image) -> str:
    """A picture as the data URL of a PNG, without loss."""
    file = BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
