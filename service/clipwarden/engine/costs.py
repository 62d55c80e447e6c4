"""What a header says in, the seconds that a decode will take out."""

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.facts import ImageHeader


class DecodeCosts:
    def __init__(self, preprocessing: Preprocessing) -> None:
        self._p = preprocessing

    def decode_seconds(self, header: ImageHeader) -> float:
        return 0.01

    def note(self, header: ImageHeader, seconds: float) -> None:
        pass
