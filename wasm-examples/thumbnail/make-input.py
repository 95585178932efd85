#!/usr/bin/env python3
"""Draws a photo-like PNG and writes the request to make a thumbnail of it.

    make-input.py [--size 640x480] [--box 128x128] [--png photo.png] [REQUEST.json]

The same size gives the same picture every time. Only the standard library is used. Without a file name the request
goes to stdout. The picture has what a photograph has: smooth gradients, hard edges, and noise that does not compress.
"""

import argparse
import base64
import json
import math
import random
import struct
import sys
import zlib


def size(text):
    width, height = (int(side) for side in text.lower().split("x"))
    if not (1 <= width <= 8192 and 1 <= height <= 8192):
        raise ValueError(text)
    return width, height


def clamp(value):
    return max(0, min(255, int(value)))


def draw(width, height):
    """Rows of RGB bytes: an evening sky over hills, a sun, and the grain of a camera."""
    noise = random.Random(20240229)
    sun_x, sun_y, sun_radius = width * 0.7, height * 0.3, min(width, height) * 0.12
    for y in range(height):
        row = bytearray()
        down = y / height
        for x in range(width):
            across = x / width
            far = 0.62 + 0.06 * math.sin(across * 9) + 0.02 * math.sin(across * 31)
            near = 0.78 + 0.05 * math.sin(across * 5 + 2) + 0.01 * math.sin(across * 83)
            glow = math.exp(-math.hypot(x - sun_x, y - sun_y) / (sun_radius * 2.5))
            if down > near:
                color = (30 + 40 * across, 60 + 30 * down, 30)
            elif down > far:
                color = (60 + 60 * glow, 80, 90 + 20 * across)
            elif math.hypot(x - sun_x, y - sun_y) < sun_radius:
                color = (255, 240, 200)
            else:
                color = (70 + 120 * down + 110 * glow, 90 + 70 * down + 60 * glow, 170 - 40 * down)
            grain = noise.gauss(0, 5)
            row += bytes(clamp(channel + grain) for channel in color)
        yield bytes(row)


def png(width, height, rows):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    # Each row is preceded by its filter; 0 is none.
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description="Writes a request for the thumbnail function.")
    parser.add_argument("--size", type=size, default=(640, 480), help="of the picture")
    parser.add_argument("--box", type=size, default=(128, 128), help="that the thumbnail must fit into")
    parser.add_argument("--png", help="write the picture itself here as well")
    parser.add_argument("request", nargs="?", help="where the params go (stdout)")
    options = parser.parse_args()

    photo = png(*options.size, draw(*options.size))
    if options.png:
        with open(options.png, "wb") as file:
            file.write(photo)
    params = {
        "image": base64.b64encode(photo).decode(),
        "width": options.box[0],
        "height": options.box[1],
    }
    with open(options.request, "w") if options.request else sys.stdout as file:
        json.dump(params, file)
        file.write("\n")


if __name__ == "__main__":
    main()
