"""Settings of libraries that hold for the whole process; every command calls `prepare_process` once, first thing."""

import logging
import warnings

from PIL import AvifImagePlugin

from clipwarden.machine import limit_blas_threads


def prepare_process() -> None:
    """Keep libraries from fighting over the cores and from writing to stderr about callers' files.

    Not done at import: a program that merely imports clipwarden keeps its own settings.
    """
    limit_blas_threads()
    # Images are decoded side by side in a pool as wide as the CPUs; more threads inside one image only contend.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # A hostile file can make Pillow warn in ever new words, each remembered for ever by the warnings registry.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # At debug level Pillow logs EXIF values, which are the caller's content; its errors reach us as exceptions anyway.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
