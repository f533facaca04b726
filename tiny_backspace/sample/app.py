"""POST a JSON object to /users, /posts or /comments; it comes back with an id."""

import json
from dataclasses import asdict
from wsgiref.simple_server import make_server

from models import MODELS

STORE = {name: [] for name in MODELS}


def answer(method, path, body):
    """(status, JSON-like) for one request."""
    name = path.strip("/")
    if name not in MODELS:
        return 404, {"error": "there is no such endpoint"}
    if method != "POST":
        return 405, {"error": "only POST is understood"}
    try:
        item = MODELS[name](**json.loads(body))
    except (TypeError, ValueError) as error:
        return 422, {"error": str(error)}
    STORE[name].append(item)
    return 201, {"id": len(STORE[name])} | asdict(item)


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    status, content = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    start_response(f"{status} ", [("Content-Type", "application/json")])
    return [json.dumps(content).encode()]


if __name__ == "__main__":
    make_server("127.0.0.1", 8000, app).serve_forever()
