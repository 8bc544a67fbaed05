"""SQL as Redshift reads it: words, names and literals; which of them make a statement."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<name>"(?:[^"]|"")*")
    | (?P<string>[eE]?'(?:[^'\\]|''|\\.)*'|(?P<dollar>\$\w*\$).*?(?P=dollar))
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<sign>::|->>|->|[<>!]=|<>|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword that it may be, in upper case."""
        return self.text.upper() if self.kind == "word" else self.text if self.kind == "sign" else ""

    @property
    def value(self) -> str:
        """What a literal holds: a backslash escapes, as in PostgreSQL before version 9."""
        plain = self.text[self.text.index("'") + 1 : -1].replace("''", "'")
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), plain, flags=re.DOTALL)

    @property
    def name(self) -> str:
        """The identifier that it is, folded: Redshift does that to quoted ones, too."""
        plain = self.text[1:-1].replace('""', '"') if self.kind == "name" else self.text
        return fold(plain)


class Refused(Exception):  # noqa: N818 - it is an answer, not a defect
    """Redshift's answer to a statement that it does not carry out."""

    def __init__(self, sqlstate: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail


def fold(name: str) -> str:
    """Return a name in lower case, which only ASCII letters have here."""
    return re.sub("[A-Z]+", lambda found: found[0].lower(), name)


def quoted(name: str) -> str:
    """Return a name for PostgreSQL.

    Raises:
        Refused: Redshift would take it, PostgreSQL would cut it.
    """
    if len(name.encode()) > 63:
        raise Refused("42622", f'the emulator cannot keep a name of more than 63 bytes: "{name}"')
    return '"{}"'.format(name.replace('"', '""'))


def statements(sql: str) -> Iterator[list[Token]]:
    """Yield the statements of a text, without the semicolons."""
    found: list[Token] = []
    for match in _TOKEN.finditer(sql):
        token = Token(str(match.lastgroup), match[0])
        if token.word != ";":
            found.append(token)
            continue
        if significant(found):
            yield found
        found = []
    if significant(found):
        yield found


def significant(tokens: list[Token]) -> list[Token]:
    """Return what is neither space nor comment."""
    return [token for token in tokens if token.kind != "space"]


def source(tokens: list[Token]) -> str:
    """Return the text again."""
    return "".join(token.text for token in tokens).strip()


class Reader:
    """What is still to be read of a statement."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = significant(tokens)
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._tokens)

    def peek(self, ahead: int = 0) -> str:
        """Return a coming keyword or sign; "" for anything else."""
        at = self._at + ahead
        return self._tokens[at].word if at < len(self._tokens) else ""

    def next(self) -> Token:
        """Return the next token.

        Raises:
            Refused: there is none.
        """
        if not self:
            raise Refused("42601", "syntax error at end of input")
        self._at += 1
        return self._tokens[self._at - 1]

    def accept(self, *words: str) -> bool:
        """Skip these words, if they are what comes."""
        if [self.peek(ahead) for ahead in range(len(words))] != list(words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Skip these words.

        Raises:
            Refused: something else comes.
        """
        for word in words:
            if not self.accept(word):
                self.fail()

    def fail(self) -> None:
        """Find the next token out of place.

        Raises:
            Refused: always.
        """
        raise Refused("42601", f'syntax error at or near "{self.next().text}"')

    @property
    def literal_comes(self) -> bool:
        """Whether the next token is a literal string."""
        return bool(self) and self._tokens[self._at].kind == "string"

    def string(self) -> str:
        """Return the literal that comes."""
        if not self.literal_comes:
            self.fail()
        return self.next().value

    def name(self) -> str:
        """Return the identifier that comes."""
        if not self or self._tokens[self._at].kind not in ("name", "word"):
            self.fail()
        return self.next().name

    def qualified(self) -> tuple[str, ...]:
        """Return the identifier that comes, with what it is qualified by."""
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.name())
        return tuple(parts)

    def names(self) -> list[str]:
        """Return a list of identifiers in parentheses."""
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return found

    def inside(self) -> list[list[Token]]:
        """Return what stands in parentheses, cut at the commas."""
        self.expect("(")
        parts: list[list[Token]] = [[]]
        depth = 1
        while depth:
            token = self.next()
            depth += {"(": 1, ")": -1}.get(token.word, 0)
            if depth == 1 and token.word == ",":
                parts.append([])
            elif depth:
                parts[-1].append(token)
        return parts

    def rest(self) -> list[Token]:
        """Return all that is left."""
        rest, self._at = self._tokens[self._at :], len(self._tokens)
        return rest
