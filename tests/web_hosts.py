"""Web servers that answer as a test tells them, and note whoever asked, with which credentials."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IMAGE = (200, {"Content-Type": "image/png"}, b"picture")


def send(request, status, headers, content):
    request.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(content)


class Host:
    """A web server that answers as it is told, and notes whoever asked for what, with which credentials."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                host.asked.append((self.path, self.headers.get("Authorization"), body))
                answer = host.answers.get(self.path.partition("?")[0], (404, {}, b"{}"))
                if callable(answer):
                    answer(self)
                else:
                    send(self, *answer)

            do_GET = do_POST = handle_any

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                # Whoever was asked too much has hung up.
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def credentials(self):
        return [given for _, given, _ in self.asked]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def redirect(to):
    return (302, {"Location": to}, b"")


def as_json(document):
    return (200, {"Content-Type": "application/json"}, json.dumps(document).encode())
