"""Looks: how much light, camera and expression vary between the images of a person.

``plain`` is a studio: even light, small turns of the head. ``camera`` stands in for photographs
taken anywhere: strong light and colour casts, large poses, expressions, blur, noise, JPEG, things
before the face.
"""

from __future__ import annotations

from dataclasses import dataclass

from evenface.registry import Registry


@dataclass(frozen=True)
class Look:
    """Ranges that the images of a look are drawn from.

    Attributes:
        yaw, pitch: deviations of the head's turn, degrees.
        distance: metres between camera and eyes, (nearest, farthest).
        expression: probability that there is one; at most three actions.
        actions: greatest strength of a facial action.
        gaze: deviation of the gaze, degrees.
        side_light: deviation of the main light's direction, degrees.
        ambient: share of light that comes from all around, (least, most).
        shadow: greatest darkness of cast shadows.
        cast: deviation of the logarithm of the light's colour channels.
        exposure: deviation of the logarithm of the exposure.
        blur: greatest deviation of the Gaussian blur, pixels.
        small: greatest factor by which the image is shrunk and enlarged again.
        noise: greatest deviation of the sensor noise, 8-bit steps.
        jpeg: (worst, best) JPEG quality; None for no compression.
        occluder: probability of a thing before the face.
        grey: probability of a grey image.
        jitter: deviation of the alignment's landmarks, pixels.
        busy: whether the background has patterns.
    """

    yaw: float
    pitch: float
    distance: tuple[float, float]
    expression: float
    actions: float
    gaze: float
    side_light: float
    ambient: tuple[float, float]
    shadow: float
    cast: float
    exposure: float
    blur: float
    small: float
    noise: float
    jpeg: tuple[int, int] | None
    occluder: float
    grey: float
    jitter: float
    busy: bool


looks: Registry[Look] = Registry("look")

looks.register("plain")(
    Look(
        yaw=6.0,
        pitch=4.0,
        distance=(1.0, 1.2),
        expression=0.3,
        actions=0.35,
        gaze=3.0,
        side_light=12.0,
        ambient=(0.45, 0.6),
        shadow=0.3,
        cast=0.02,
        exposure=0.05,
        blur=0.3,
        small=1.0,
        noise=1.5,
        jpeg=None,
        occluder=0.0,
        grey=0.0,
        jitter=0.0,
        busy=False,
    )
)
looks.register("camera")(
    Look(
        yaw=20.0,
        pitch=9.0,
        distance=(0.55, 2.5),
        expression=0.7,
        actions=0.75,
        gaze=9.0,
        side_light=38.0,
        ambient=(0.15, 0.6),
        shadow=0.85,
        cast=0.09,
        exposure=0.28,
        blur=1.1,
        small=2.0,
        noise=8.0,
        jpeg=(35, 95),
        occluder=0.12,
        grey=0.05,
        jitter=0.7,
        busy=True,
    )
)
