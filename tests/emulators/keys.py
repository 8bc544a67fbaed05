"""A proxy in front of a store that keeps objects as files: it holds keys apart as a bucket does."""

from urllib.parse import unquote

from emulators.faulty import Answer, Fault, Faulty, Request


class Keys(Faulty):
    """See `Faulty`. To a file system `a//b` is `a/b`, but in a bucket those are two objects."""

    def serve(self, request: Request) -> Answer:
        """Have the server do what is asked, with keys that are there."""
        if "//" in unquote(request.path.partition("?")[0]):
            return self.shape(Fault(request.path, "error", status=404, reason="NoSuchKey"))
        return super().serve(request)
