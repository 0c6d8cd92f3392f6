"""Texts as numbers: each word a 64-bit hash, computed over whole batches, without a Python step for a word.

    hash_words(["Why is the sky blue?", "why is the SKY blue"])   # two equal runs of five hashes

Equal words have equal hashes in every process and every version. What counts as a word: a run of letters,
digits and marks after NFKC and case folding; a number is a word of its own, so "5km" is "5 km". In scripts
that are written without spaces each character is a word of its own.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BATCH_CHARACTERS = 1 << 16  # of text hashed at once: what is made of it stays in the cache of the processor
CODES = 0x32000  # from there on, Unicode has no letters so far
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters.
SPACELESS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, CODES - 1),
)
# Signs carry the meaning of a formula: "3+4" is another text than "3*4". Other punctuation does not count.
SIGN_CATEGORIES = ("Sm", "Sc", "So")
SIGNS = "*/%&@"
# Behind a letter these are part of a name: "in C#" and "in C++" ask for something else than "in C".
_NAMING = (ord("#"), ord("+"))
# Of a character: between words, part of a word, a word by itself, or one by itself where signs are words.
NOTHING, WORD, ALONE, SIGN = 0, 1, 2, 3
_P = np.uint64(0x9E37_79B9_7F4A_7C15)
_P_INVERSE = np.uint64(pow(int(_P), -1, 1 << 64))


@dataclass(frozen=True)
class Words:
    """The words of some texts, one after another."""

    hashes: Hashes
    offsets: Places  # of each text's first word, and at the end the number of words
    spaceless: Bools  # of each word, whether it is one character of a script without spaces
    names: Bools  # of each word, whether it is a name such as C# or C++

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Places:
        """Return how many words each text has."""
        return np.diff(self.offsets)


class Rolling:
    """Hashes of any run of consecutive values in O(1), by sums over a polynomial modulo 2**64."""

    def __init__(self, values: Hashes) -> None:
        self._inverses = _powers(len(values) + 1)[1]
        self._sums = np.zeros(len(values) + 1, dtype=np.uint64)
        np.cumsum(values * _powers(len(values))[0], out=self._sums[1:])

    def hash(self, starts: Places, ends: Places) -> Hashes:
        """Return a hash of each run `values[start:end]`; equal runs have equal hashes wherever they stand."""
        return mix((self._sums[ends] - self._sums[starts]) * self._inverses[starts])

    def hash_runs(self, length: int) -> Hashes:
        """Return a hash of every run of so many values, by its start."""
        if len(self._sums) <= length:
            return np.empty(0, dtype=np.uint64)
        sums = self._sums
        return mix((sums[length:] - sums[:-length]) * self._inverses[: len(sums) - length])


def fold(text: str) -> str:
    """Return a text without the differences of writing that do not matter: compatibility forms and case."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def hash_words(texts: Sequence[str], *, signs: bool = False) -> Words:
    """Hash the words of each text.

    Args:
        texts: any texts; they are folded here.
        signs: whether mathematical signs, currency signs and pictures are words too.
    """
    folded = [fold(text) for text in texts]
    # A character between texts, so that no word reaches from one into the next.
    lengths = np.fromiter(map(len, folded), dtype=np.int64, count=len(folded)) + 1
    begins = np.concatenate(([0], np.cumsum(lengths)))
    codes = _to_codes("\0".join([*folded, ""]))
    kinds = _find_kinds(codes, signs=signs)
    starts, ends = _find_words(kinds, codes)
    hashes = Rolling(_code_hashes()[codes]).hash(starts, ends)
    names = np.isin(codes[ends - 1], _NAMING) & (ends - starts > 1)
    return Words(hashes, np.searchsorted(starts, begins), kinds[starts] == ALONE, names)


def split_words(text: str, *, signs: bool = False) -> list[str]:
    """Return the words that `hash_words` makes hashes of."""
    folded = fold(text)
    codes = _to_codes(folded)
    starts, ends = _find_words(_find_kinds(codes, signs=signs), codes)
    return [folded[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def split_batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Bounds of batches of texts that hold about so many characters, and one text at least."""
    start = 0
    ends = list(accumulate(map(len, texts)))
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = start + 1
        while stop < len(texts) and ends[stop] - before <= BATCH_CHARACTERS:
            stop += 1
        yield start, stop
        start = stop


def list_runs(starts: Places, sizes: Places) -> Places:
    """List the positions `start`, `start + 1`, … of each run, one run after another."""
    runs: Places = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return runs


def mix(values: Hashes) -> Hashes:
    """Spread the differences between values over all bits (the finalizer of SplitMix64, by Vigna)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D0_49BB_1331_11EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _to_codes(text: str) -> npt.NDArray[np.intp]:
    # As `intp`, which looking things up in a table takes half the time with.
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.intp)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.intp)
    codes[codes >= CODES] = 0
    return codes


def _find_words(kinds: npt.NDArray[np.uint8], codes: npt.NDArray[np.intp]) -> tuple[Places, Places]:
    # Between two characters a word ends, or another starts, unless both are part of the same run.
    letters, digits = kinds == WORD, _are_digits(codes)
    joined = letters[1:] & letters[:-1] & (digits[1:] == digits[:-1])
    inside = kinds != NOTHING
    starts, ends = inside.copy(), inside
    starts[1:] &= ~joined
    ends[:-1] &= ~joined
    return np.flatnonzero(starts), np.flatnonzero(ends) + 1


def _find_kinds(codes: npt.NDArray[np.intp], *, signs: bool) -> npt.NDArray[np.uint8]:
    """Return the kind of each character, where it stands."""
    kinds = _kinds(signs=signs)[codes]
    naming = np.flatnonzero(np.isin(codes, _NAMING))
    if len(naming):
        padded = np.concatenate(([NOTHING], kinds, [NOTHING]))
        is_digit = np.concatenate(([False], _are_digits(codes)))
        ends = padded[naming + 2] != WORD  # "3+4" and "a+b" are three words each
        first = naming[ends & (padded[naming] == WORD) & ~is_digit[naming]]
        kinds[first] = WORD
        second = naming[ends & np.isin(naming - 1, first)]
        kinds[second] = WORD
    return kinds


def _are_digits(codes: npt.NDArray[np.intp]) -> Bools:
    return (codes >= ord("0")) & (codes <= ord("9"))


@cache
def _kinds(*, signs: bool) -> npt.NDArray[np.uint8]:
    kinds = _all_kinds().copy()
    if not signs:
        kinds[kinds == SIGN] = NOTHING
    return kinds


@cache
def _all_kinds() -> npt.NDArray[np.uint8]:
    categories = map(unicodedata.category, map(chr, range(CODES)))
    by_category = {"L": WORD, "N": WORD, "M": WORD}
    by_category |= dict.fromkeys(SIGN_CATEGORIES, SIGN)
    kinds = np.fromiter(
        (by_category.get(name, by_category.get(name[0], NOTHING)) for name in categories), np.uint8, CODES
    )
    kinds[[ord(sign) for sign in SIGNS]] = SIGN
    for first, last in SPACELESS:
        part = kinds[first : last + 1]
        part[part == WORD] = ALONE
    return kinds


@cache
def _code_hashes() -> Hashes:
    return mix(np.arange(1, CODES + 1, dtype=np.uint64) * _P)


_cached_powers: tuple[Hashes, Hashes] = (np.empty(0, np.uint64), np.empty(0, np.uint64))


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Return the first powers of P, and of its inverse."""
    global _cached_powers  # noqa: PLW0603 - grows with the longest batch seen; a value a batch would cost more
    powers = _cached_powers  # another thread may set them meanwhile, to fewer
    if len(powers[0]) < count:
        factors = np.full((2, max(count, BATCH_CHARACTERS * 2)), [[_P], [_P_INVERSE]], dtype=np.uint64)
        factors[:, 0] = 1
        first, second = np.cumprod(factors, axis=1)
        _cached_powers = powers = (first, second)
    return powers[0][:count], powers[1][:count]
