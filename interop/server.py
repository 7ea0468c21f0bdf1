"""The small web server that an app of a test runs in."""

import os
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass

@contextmanager
def serve(app):
    """Serves a WSGI app at the port of the client, while the block runs."""
    with make_server("127.0.0.1", int(os.environ["PORT"]), app, Server, Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
