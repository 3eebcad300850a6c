"""Every error has a status, and every answer that is an error is a problem."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from running import Service

import app.main  # noqa: F401 -- loads every module that may define an error
from app.errors import HTTP_STATUS, http_status
from app.problems import place_of
from models.errors import InvalidRig, RigFuseError


def tree(cls: type[RigFuseError] = RigFuseError) -> Iterator[type[RigFuseError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from tree(child)


def test_the_table_is_complete() -> None:
    classes = {cls for cls in tree() if cls.__module__.split(".")[0] in {"app", "models"}}
    assert {cls.__qualname__ for cls in classes} == {cls.__qualname__ for cls in HTTP_STATUS}


def test_the_codes_are_stable_names_and_differ() -> None:
    codes = [cls.default_code for cls in HTTP_STATUS]
    assert len(set(codes)) == len(codes)
    assert all(code.isidentifier() and code.islower() for code in codes)


def test_a_class_that_is_not_in_the_table_has_its_ancestors_status() -> None:
    class Stranger(InvalidRig):
        pass

    assert http_status(Stranger("x")) == HTTP_STATUS[InvalidRig]


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (("body", "cameras", 1, "K", 0, 2), "cameras[1].K[0][2]"),
        (("query", "limit"), "query.limit"),
        (("body",), None),
        (("body", 3), "[3]"),
    ],
)
def test_places_read_like_code(location: tuple[int | str, ...], place: str | None) -> None:
    assert place_of(location) == place


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("PUT", "/v1/rigs", 405, "method_not_allowed"),
        ("GET", "/v1/rigs?limit=0", 422, "invalid_input"),
        ("GET", "/v1/rigs?limit=x", 422, "invalid_input"),
        ("GET", "/v1/rigs/rig_x", 404, "rig_not_found"),
        ("GET", "/v1/adaptations/%00", 404, "adaptation_not_found"),
        ("GET", "/v1/checkpoints/%00", 404, "checkpoint_not_found"),
    ],
)
def test_every_error_is_a_problem(service: Service, method: str, path: str, status: int, code: str) -> None:
    answer = service.client.request(method, path)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"] == f"urn:rigfuse:error:{code}"
    assert problem["title"]
    assert problem["detail"].endswith(".")


def test_several_faults_are_told_at_once(service: Service) -> None:
    problem = service.client.post("/v1/rigs", json={"name": "x", "cameras": [{}]}).json()
    assert {"joints", "cameras[0].K", "cameras[0].id"} <= {error["at"] for error in problem["errors"]}
    assert "more below" in problem["detail"]


def test_a_wrong_content_type_is_told(service: Service) -> None:
    answer = service.client.post("/v1/rigs", content=b"a=b", headers={"content-type": "text/plain"})
    assert answer.status_code == 422
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused(service: Service, declared: bool) -> None:
    body = b" " * (service.settings.max_json_bytes + 1)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    answer = service.client.post(
        "/v1/rigs", content=body if declared else chunks(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")


def test_what_crashes_is_a_problem_with_the_request_id(service: Service) -> None:
    @service.app.get("/crash-for-this-test")
    def crash() -> None:
        raise ZeroDivisionError("secret")

    try:
        answer = service.client.get("/crash-for-this-test", headers={"X-Request-ID": "my-id.1"})
    finally:
        service.app.router.routes.pop()
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "my-id.1" in answer.json()["detail"]
    assert "secret" not in json.dumps(answer.json())
    assert answer.headers["x-request-id"] == "my-id.1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é"])
def test_a_request_id_that_cannot_be_logged_is_replaced(service: Service, given: str) -> None:
    answer = service.client.get("/healthz", headers={"X-Request-ID": given.encode()})
    assert answer.headers["x-request-id"] not in {given, ""}


def test_a_pool_without_a_free_connection_is_told_as_unavailable(service: Service) -> None:
    pool = service.app.state.db.engine.pool
    patience, pool._timeout = pool._timeout, 0.1
    with ExitStack() as held:
        held.callback(setattr, pool, "_timeout", patience)
        for _ in range(pool.size() + pool._max_overflow):
            held.enter_context(closing(pool.connect()))
        answer = service.client.get("/v1/rigs")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert service.client.get("/v1/rigs").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("POST", "/v1/rigs/rig_0/poses?triangulatoin=dlt", "checkpoint, covariance, fps, return, smoothing, "),
        ("POST", "/v1/rigs/rig_0/captures?frame_upload=x", "frames_upload, heatmaps_upload"),
        ("GET", "/v1/rigs?limits=1", "archived, cursor, limit"),
        ("GET", "/v1/workers?x=", ""),
    ],
)
def test_a_parameter_that_nobody_reads_is_refused(service: Service, method: str, path: str, known: str) -> None:
    answer = service.client.request(method, path)
    name = path.partition("?")[2].partition("=")[0]
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter"), answer.text
    assert answer.json()["at"] == f"query.{name}"
    assert (f"those known are {known}" if known else "there are none") in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"[" * 100_000, "nested too deeply"), (b'"\xff"', "not UTF-8"), (b"1" * 5000, "too many digits")],
)
def test_json_that_cannot_be_read_is_told_as_other_bad_json_is(service: Service, body: bytes, told: str) -> None:
    answer = service.client.post("/v1/rigs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"], answer.json()["at"]) == (422, "invalid_rig", "body"), answer.text
    assert answer.json()["errors"][0]["code"] == "json_invalid"
    assert told in answer.json()["detail"]
