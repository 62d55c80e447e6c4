"""Values of PQ and HLG in, light as a browser brings it to a screen of ordinary range out."""

import numpy as np

from clipwarden.vision.colour.curves import Floats

# Nits of reference white (ITU-R BT.2408), and of the brightest white that pictures without metadata are taken to have.
_REFERENCE, _BRIGHTEST = 203.0, 1000.0
_HEADROOM = _BRIGHTEST / _REFERENCE
# Reference white tone mapping, as Chromium 150 does it (SMPTE ST 2094-50, annex): half of the light up to white, then a
# quadratic Bezier curve through these points (light in, light out) to the brightest.
_KNEE, _MIDDLE, _END = (1.0, 0.5), (1.65, 0.825), (_HEADROOM, 1.0)
# ITU-R BT.2100: system gamma at 1,000 nits, and luminance of BT.2020's primaries.
_SYSTEM_GAMMA = 1.2
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_LEAST = np.float32(1e-6)


def pq_light(values: Floats) -> Floats:
    """Decode PQ (SMPTE ST 2084) to light relative to reference white."""
    power = np.clip(values, 0, 1) ** np.float32(32 / 2523)
    ratio = np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
    light: Floats = (10_000 / _REFERENCE * ratio ** (8192 / 1305)).astype(np.float32)
    return light


def hlg_light(values: Floats) -> Floats:
    """Decode HLG (ITU-R BT.2100, table 5) to light of the scene, 0-1."""
    bright = (np.exp((np.clip(values, 0, 1) - 0.55991073) / 0.17883277) + 0.28466892) / 12
    light: Floats = np.where(values <= 0.5, values**2 / 3, bright).astype(np.float32)  # noqa: PLR2004
    return light


def tone_mapped(light: Floats) -> Floats:
    """Bring light of a screen [3,N], of BT.2020's primaries and relative to reference white, to 0-1.

    The brightest channel decides for all three, so that hues stay.
    """
    brightest = np.maximum(light.max(axis=0), _LEAST)
    curvature = _KNEE[0] - 2 * _MIDDLE[0] + _END[0]
    slope = 2 * (_MIDDLE[0] - _KNEE[0])
    root = np.sqrt(np.maximum(slope**2 - 4 * curvature * (_KNEE[0] - brightest), 0))
    at = np.clip((root - slope) / (2 * curvature), 0, 1)
    bent = (1 - at) ** 2 * _KNEE[1] + 2 * at * (1 - at) * _MIDDLE[1] + at**2 * _END[1]
    mapped: Floats = light * (np.where(brightest <= _KNEE[0], brightest / 2, bent) / brightest).astype(np.float32)
    return mapped


def scene_tone_mapped(light: Floats) -> Floats:
    """Bring light of a scene [3,N] to a screen's, then as `tone_mapped`."""
    luminance = np.maximum(_LUMINANCE @ light, _LEAST)
    return tone_mapped(light * luminance ** np.float32(_SYSTEM_GAMMA - 1) * np.float32(_HEADROOM))
