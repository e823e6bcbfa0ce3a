"""An LMDB database as the reference library (lmdb 0.9.36, msgpack 1.2.4) writes it.

Image i of 0 … 39 has the key "i", is 150 + i bytes of value i (9,000 bytes for i = 7), and has the
label i modulo 3. The tree has a branch page, three leaves and an overflow value.
"""

from __future__ import annotations

import base64
import zlib

COUNT = 40
_PACKED = (
    "eNrt3U1sG0UUB/A3Yydr79re0IYSoEBpClhFVPGuvyJxRogjR1Rpi6BcCD00QioSR84c5gDpB2npd9PvNG3TtA1B"
    "ekgV5x56QBaHHlG55gavyY5jF6nlo4Ud8f9Jk3XWL/IbKzv2825eiKzCytfO0q+LinoNdTcFWrunP2bt+6Bvr+7u"
    "zz2wfT3dFh/4OU0AAAAAAAAA8Lipv1T/P9pvqUfV/9V06/U9+h8/VwAAAAAAAACAf0733NpKw972cL7iV94rz5SW"
    "g7cC43eK1eLuwoI37L2rp1SHJspc2ljaHewI5vyCn/XZXUhnFkWGz2xwiDpvM68ZPv20O4jO2czHDM8MO0OfTfOu"
    "jRs+td4Vis7YvNuGT65zBJ22WbcMn3jKDZpmbNZNw8eHnKBO2Zwbho+FLiA6aXOuGz5a+bcdWHl0RfKiMaWzirBe"
    "Yb3CeoX16m/RJ2zGseEj5exTdNxmLMvy4VLm0TGbr7yD/zbIOk1Hbb7yvv2Qn3Fqf/oaLU/u1yqj9qU5yhP6VVYr"
    "5Fz3Vn7ltvlhtOoBAAAAAAAAAAAAAAAAAAAAAPwPoFcFAAAAAAC4ZLDn7/+r1PTeDr+s3C6PlLeXpoOf/U3+juJ0"
    "YdlrepXcO/oLtUg/BpuDPf5H/kKxUvzvs7+RZh7XDc9vdpS6bmcRG776spuIFuwsIsNXNjlJX7NzqBm+/JKLFM3b"
    "OYwZnnvRQXTVdpAYN3zpBfdoumJn0DY8u9E56rLNv2X44vOuIZqz+TcNX3ju8XP/GPsm/dtEecnZm8sqrARYCTK+"
    "EjxR+pLNvmH4/LNuUTRrs5d35+dGnEIXbe6yQJ59xiUaXc/Q9exPdz3zurW0og10N1wO74V3Q3wuAgAAAAAAAOCa"
    "gj1bURvsfkqh++5b3buNpgbeDPdUZsu/lLaUlr1t3oeDUwOfB7f9rf6IP1FcKnQkzq3/AAAA4Jrv7Zo9bvjmay4j"
    "WrJzaRu+8arD9Hd2Ji3D119xl1q/aGfSNLywxVl0ZGUeiuQwOVjMNjqc5iqHwXQh0/TQG6P3M1XUsg2ihw6l2csv"
    "zIHBDKPwYJppw/D+gezS02medcP78pmlyjftWiFP6LVRV+kSrhbOzNXCPq4WzsbVwmsX8fef/0f9DwCA+h/1P+p/"
    "1P+o/1H/o/5H/Y/6H/W/O/X//Qz9h5z/93vO/9fpVv7h5/9v5e/lO3m8OweALFntxViiJPlg4v3JyV2ffpIkuXSv"
    "J3sndu5Kkure9JqnJPl452eTSfITVVmNsaqxiljFrOqsGqyarFqs2qzGWdfGZNRkRDJiGXUZDRlNGS0ZbRkSF0lc"
    "JHGRxEUSF0lcJHGRxEUSF0lcJHGxxMUSF0tcLHGxxMUSF0tcLHGxxMXjqP9R/6P+R/2P+h/1P+p/1P+o/1H/P5Hz"
    "/0FP/b+O7oR30P8PRzT6/6H/H/r/oesXun6h/x/6/2ElwEqA/n/o/4f+f+j/50z/v5H0TJfuVveU7qH0nNiq3wHJ"
    "EWa9"
)


def image(number: int) -> bytes:
    """Content of an image."""
    return bytes([number]) * (9000 if number == 7 else 150 + number)


def database() -> bytes:
    """Content of ``data.mdb``."""
    return zlib.decompress(base64.b64decode(_PACKED))
