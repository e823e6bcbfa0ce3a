"""Looks: how much light, camera and expression vary between the images of a person.

``plain`` is a passport photograph: even light, small turns of the head. ``camera`` stands in for
photographs taken anywhere: strong light and colour casts, large poses, expressions, blur, noise,
JPEG, things before the face, another hairstyle or glasses now and then. ``studio`` is a portrait
photographer's: hard key light from one side, fill and rim lights, backdrops with a glow, graded
colours, a long lens. Nothing is trained on ``studio``: it is what a model has not met.
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
        key: mean angles of the main light, degrees: to either side, and up.
        side_light: deviation of the main light's direction, degrees.
        fill: greatest strength of a soft light from the other side, as a share of the main light.
        rim: greatest strength of a light from behind, likewise.
        tilt: deviation of the gradient of the light from all around.
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
        backdrop: "even", "busy" (colours and waves) or "glow" (a bright spot behind the head).
        vignette: greatest darkening of the corners.
        grade: strength of colour grading: tone curve, saturation, tints of shadows and lights.
        restyle: probability that the hair is worn in the person's other way.
        eyewear: probability that glasses are taken off, or on by who wears none.
    """

    yaw: float
    pitch: float
    distance: tuple[float, float]
    expression: float
    actions: float
    gaze: float
    key: tuple[float, float]
    side_light: float
    fill: float
    rim: float
    tilt: float
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
    backdrop: str
    vignette: float
    grade: float
    restyle: float
    eyewear: float


looks: Registry[Look] = Registry("look")

looks.register("plain")(
    Look(
        yaw=6.0,
        pitch=4.0,
        distance=(1.0, 1.2),
        expression=0.3,
        actions=0.35,
        gaze=3.0,
        key=(0.0, 30.0),
        side_light=12.0,
        fill=0.0,
        rim=0.0,
        tilt=0.0,
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
        backdrop="even",
        vignette=0.0,
        grade=0.0,
        restyle=0.0,
        eyewear=0.0,
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
        key=(0.0, 30.0),
        side_light=38.0,
        fill=0.4,
        rim=0.5,
        tilt=0.12,
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
        backdrop="busy",
        vignette=0.0,
        grade=0.0,
        restyle=0.2,
        eyewear=0.12,
    )
)
looks.register("studio")(
    Look(
        yaw=19.0,
        pitch=9.0,
        distance=(2.5, 5.0),
        expression=0.8,
        actions=0.85,
        gaze=8.0,
        key=(55.0, 30.0),
        side_light=16.0,
        fill=0.5,
        rim=1.4,
        tilt=0.05,
        ambient=(0.05, 0.22),
        shadow=0.95,
        cast=0.08,
        exposure=0.22,
        blur=1.0,
        small=2.0,
        noise=4.0,
        jpeg=(60, 98),
        occluder=0.0,
        grey=0.1,
        jitter=0.7,
        backdrop="glow",
        vignette=0.6,
        grade=1.3,
        restyle=0.25,
        eyewear=0.12,
    )
)
