"""How requests reach Label Studio: tokens, certificates, what is tried again and what never is, and what errors say.

The SDK repeats POST requests on 5xx, 408, 409 and 429, so a proxy's time-out makes duplicates; the text of its errors
holds headers. Here a write is sent once (callers look up what is there by our own key instead), reading is tried again
after as long as the server asks for, and every error is translated.
"""

import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from annotator.errors import AuthRejected, ConnectionFailed, LabelStudioError, RequestRefused
from annotator.label_studio.network.bounded import ACCEPTED, AnswerTooLarge, bound_answer
from annotator.label_studio.network.origin import AddressRefused, checked_url, join_address, origin_of
from db.errors import InvalidArgument
from db.imaging.web import is_private

T = TypeVar("T")

READ_TRIES = 4
READ_PAUSE_S = 0.5
LONGEST_WAIT_S = 60.0
"""A server that asks for more patience than this is not waited for."""
TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 10
MOST_REDIRECTS = 5
NO_RETRIES: dict[str, Any] = {"max_retries": 0}


def normalize_url(url: str) -> str:
    """Bring a server's address into one form: scheme and host in lower case, no trailing slash, no user or query.

    Raises:
        InvalidArgument: it is not an http or https address.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(
            f"expected the address of a Label Studio server, such as http://localhost:8080, got {url!r}"
        )
    host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/"), "", ""))


def check_reachable(url: str, *, ca_file: Path | None = None) -> None:
    """Make sure that something answers at an address, whatever it says; no token is needed.

    Raises:
        ConnectionFailed: nothing does; InvalidArgument: the certificates cannot be read.
    """
    try:
        with httpx.stream("GET", f"{url}/health", timeout=PROBE_TIMEOUT_S, verify=_certificates(ca_file)):
            # What it says is of no interest.
            pass
    except httpx.HTTPError as exc:
        raise ConnectionFailed(_unreachable(url, exc)) from exc


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of an answer to a browser's question."""

    status: int
    kind: str
    """Content type, empty where none is named."""
    is_empty: bool


class Transport:
    """Sends requests to one server, below its path prefix where it has one."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None) -> None:
        """Prepare connections; nothing is sent yet.

        Args:
            url: the server's address, in its normal form.
            token: a personal access token or a legacy token.
            timeout_s: how long to wait for one answer.
            ca_file: certificates (PEM) of the authority that signed the server's, where the system lacks them.

        Raises:
            InvalidArgument: the certificates cannot be read; AuthRejected: the token has expired.
        """
        import label_studio_sdk

        self.url = url
        self._origin = origin_of(httpx.URL(url))
        self._http = httpx.Client(
            timeout=timeout_s,
            verify=_certificates(ca_file),
            headers={"Accept-Encoding": ACCEPTED},
            # Whoever sends the request, the SDK included: nothing passes but through these two.
            event_hooks={"request": [self._keep_credentials], "response": [bound_answer]},
        )
        sdk: Any = label_studio_sdk
        try:
            with self.translated():
                self.sdk = sdk.LabelStudio(base_url=url, api_key=token, httpx_client=self._http)
        except LabelStudioError:
            self._http.close()
            raise
        # The SDK would ask for new access tokens at the host's root, beside the prefix.
        self.sdk._client_wrapper._tokens_client._base_url = url + "/"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Read JSON from a path below the server's address; see `read`."""
        return self.read(lambda: self.send("GET", path, params=params).json())

    def post(self, path: str, document: Any, **params: Any) -> Any:
        """Send JSON, once, and return the answer's."""
        return self.write(lambda: self.send("POST", path, json=document, params=params).json())

    def patch(self, path: str, document: Any) -> Any:
        """Change something by JSON, once, and return the answer's."""
        return self.write(lambda: self.send("PATCH", path, json=document).json())

    def delete(self, path: str) -> None:
        """Delete something, once."""
        self.write(lambda: self.send("DELETE", path))

    def _keep_credentials(self, request: httpx.Request) -> None:
        """Let no token go to another server.

        Raises:
            RequestRefused: it was about to.
        """
        if "authorization" in request.headers and origin_of(request.url) != self._origin:
            raise RequestRefused(f"the token for {self.url} is never sent to another server; nothing was sent")

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request and return an answer that is no error."""
        headers = self.headers()
        answer = self._http.request(method, f"{self.url}{path}", headers=headers, **options)
        if answer.is_error or answer.has_redirect_location:
            raise self._error(answer.status_code, _json_or_none(answer), answer.headers)
        return answer

    def fetch(self, address: str, hosts: Container[str] = ()) -> Fetched:
        """Ask for a file as a browser would, and read its beginning.

        The token goes with the first request, and only if that goes to the server itself. Redirects are followed, but
        from nowhere in the world into a private network.

        Args:
            address: a path on the server, or an address elsewhere.
            hosts: where else files may be asked for.

        Raises:
            RequestRefused: it is of another host, or leads to where nothing is asked for.
            ConnectionFailed: there is no answer.
        """
        try:
            url = join_address(self.url, address)
            with self.translated():
                is_own = origin_of(url) == self._origin
                if not is_own and url.host not in hosts:
                    raise AddressRefused(f"no image of the registry is on {url.host}, so nothing is requested from it")
                headers, is_inside = self.headers() if is_own else {}, is_private(url.host)
                for _ in range(MOST_REDIRECTS + 1):
                    with self._http.stream("GET", url, headers=headers, follow_redirects=False) as answer:
                        if not answer.has_redirect_location:
                            kind = answer.headers.get("content-type", "")
                            return Fetched(answer.status_code, kind, not any(answer.iter_bytes()))
                        url, headers = checked_url(url.join(answer.headers["location"])), {}
                    if not is_inside and is_private(url.host):
                        raise AddressRefused(f"it redirects to {url.host}, in a private network")
                raise AddressRefused(f"it redirects more than {MOST_REDIRECTS} times")
        except AddressRefused as exc:
            raise RequestRefused(str(exc)) from exc

    def headers(self) -> dict[str, str]:
        """Return what names the token's user; a personal access token is exchanged for a short-lived one here."""
        headers = dict(self.sdk._client_wrapper.get_headers())
        headers.pop("Content-Type", None)
        return headers

    def read(self, call: Callable[[], T]) -> T:
        """Run a request that changes nothing; it is tried again while the server cannot answer."""
        for attempt in range(READ_TRIES):
            try:
                with self.translated():
                    return call()
            except ConnectionFailed as exc:
                if attempt == READ_TRIES - 1:
                    raise
                self.wait(exc, READ_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def write(self, call: Callable[[], T]) -> T:
        """Run a request that changes something, once."""
        with self.translated():
            return call()

    @staticmethod
    def wait(exc: ConnectionFailed, pause_s: float) -> None:
        """Wait before the next try: as long as the server asked for, else `pause_s`.

        Raises:
            ConnectionFailed: it asked for more than anybody wants to wait.
        """
        if exc.retry_after_s is not None and exc.retry_after_s > LONGEST_WAIT_S:
            raise exc
        time.sleep(max(pause_s, exc.retry_after_s or 0.0))

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn everything that can go wrong on the way into the errors of this package."""
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except (LabelStudioError, AddressRefused):
            raise
        except AnswerTooLarge as exc:
            raise RequestRefused(f"{self.url}: {exc}; is this its address?") from exc
        except ApiError as exc:
            raise self._error(exc.status_code, exc.body, exc.headers or {}) from exc.__cause__
        except httpx.HTTPError as exc:
            raise ConnectionFailed(_unreachable(self.url, exc)) from exc
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, httpx.InvalidURL) as exc:
            # HTML instead of JSON, or an answer of another shape.
            raise RequestRefused(
                f"{self.url} did not respond like Label Studio ({type(exc).__name__}): is this its address?"
            ) from exc

    def _error(self, status: int | None, body: object, headers: Mapping[str, str]) -> LabelStudioError:
        known = {str(name).lower(): str(value) for name, value in headers.items()}
        detail = body.get("detail") if isinstance(body, Mapping) else None
        text = f"status {status}" + (f": {str(detail)[:200]}" if detail else "")
        if status == 401:
            return AuthRejected(
                f"{self.url} refused the token ({text}); make a new one under Account & Settings, Access Token, "
                "and set PARTLY_LABEL_STUDIO_TOKEN"
            )
        if status == 403:
            return AuthRejected(
                f"{self.url} does not let the token's user do this ({text}); a read-only token is enough for `partly "
                "pull`, but `connect` and `push` need one with write access"
            )
        if status is not None and 300 <= status < 400:
            target = urlsplit(urljoin(self.url, known.get("location", "")))
            return RequestRefused(
                f"{self.url} redirects every request to {target.scheme}://{target.netloc}; connect to its actual "
                "address"
            )
        if status is not None and status < 400:
            return RequestRefused(f"{self.url} did not respond like Label Studio: is this its address?")
        if status is None or status >= 500 or status in (408, 429):
            return ConnectionFailed(
                f"{self.url} is not able to answer ({text})", retry_after_s=_seconds(known.get("retry-after"))
            )
        return RequestRefused(f"{self.url} refused the request ({text}{_reasons(body)})", status=status)


def _certificates(ca_file: Path | None) -> Any:
    if ca_file is None:
        return True
    import ssl

    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise InvalidArgument(f"{ca_file}: cannot be read as CA certificates in PEM format ({exc})") from exc
    return context


NOT_RUNNING = "is it running? a local Label Studio is started with: partly studio start"


def _unreachable(url: str, exc: httpx.HTTPError) -> str:
    return f"{url} cannot be reached ({type(exc).__name__}: {exc}); {_certificate_remedy(exc) or NOT_RUNNING}"


def _certificate_remedy(exc: httpx.HTTPError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" not in str(exc):
        return ""
    return "if its certificate was signed by an authority of your own, name that in partly.toml: [label_studio] ca_file"


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _json_or_none(answer: httpx.Response) -> object:
    try:
        found: object = answer.json()
    except ValueError:
        return None
    return found


def _reasons(body: object) -> str:
    """Say which field the server did not like; its validation errors hold nothing secret."""
    errors = body.get("validation_errors") if isinstance(body, Mapping) else None
    return f": {str(errors)[:300]}" if errors else ""
