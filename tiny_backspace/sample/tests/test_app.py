import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app import answer


def test_a_user_is_created():
    status, user = answer("POST", "/users", '{"name": "Ada", "email": "ada@example.org"}')
    assert status == 201
    assert user["name"] == "Ada"


def test_a_post_needs_an_author():
    status, _ = answer("POST", "/posts", '{"title": "t", "body": "b"}')
    assert status == 422


def test_unknown_endpoints_are_refused():
    assert answer("POST", "/nothing", "{}")[0] == 404
    assert answer("GET", "/users", "")[0] == 405
