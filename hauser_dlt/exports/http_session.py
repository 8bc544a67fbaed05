"""Connections to FullStory: who gets the key, and where redirects may lead."""

from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from hauser_dlt.network import Session

_CONNECTIONS = 64  # no fewer than are ever open at once: each that could not be kept would be a line in the log


class _Key(AuthBase):
    """FullStory's key, sent as it is; None sends nothing."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Basic {self._token}"
        return request


class KeySession(Session):
    """Connections that send the key they were given, or none, whatever stands in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        super().__init__()
        self.auth = _Key(token)  # with an `auth`, requests does not look into ~/.netrc
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Add nothing to a redirected request; here, too, requests would look into ~/.netrc."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a redirect leads; never from an encrypted connection to one that is not."""
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:") and urlsplit(urljoin(resp.url, target)).scheme == "http":
            raise requests.exceptions.InvalidURL("from https to http")
        return target
