"""The description: sound, complete, and true where a rule can be checked without fuzzing."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from running import Service

from app.main import create_app
from app.openapi_examples import SCHEMAS
from app.operation_ids import _by_rule
from app.settings import Settings

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), environment="embedded")
    return create_app(settings).openapi()


@pytest.fixture(scope="module")
def operations(description: dict[str, Any]) -> list[Operation]:
    found = [(path, method, what) for path, methods in description["paths"].items() for method, what in methods.items()]
    assert len(found) > 40
    return found


def test_it_is_valid(description: dict[str, Any]) -> None:
    validate(description)


def test_every_example_fits_its_schema(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    assert SCHEMAS.keys() <= schemas.keys()
    for name, schema in schemas.items():
        for example in schema.get("examples", []):
            reference = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
            faults = [f"{name}{fault.json_path[1:]}: {fault.message}" for fault in _faults(reference, example)]
            assert faults == []


def _faults(schema: dict[str, Any], example: Any) -> Iterator[Any]:
    return Draft202012Validator(schema).iter_errors(example)


def test_every_json_that_is_sent_or_answered_has_an_example(
    description: dict[str, Any], operations: list[Operation]
) -> None:
    without = set()
    for _, _, operation in operations:
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            schema = body.get("content", {}).get("application/json", {}).get("schema", {})
            choices = [schema, *schema.get("anyOf", [])]
            names = [choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice]
            without |= {name for name in names if "examples" not in description["components"]["schemas"][name]}
    assert without == set()


def test_operations_are_named_sorted_and_explained(description: dict[str, Any], operations: list[Operation]) -> None:
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
    tags = {tag["name"] for tag in description["tags"]}
    for _, _, operation in operations:
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]
    assert {"register_rig", "upload_capture", "start_adaptation", "estimate_poses", "export_bundle"} <= set(names)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/rigs", "list_rigs"),
        ("GET", "/v1/rigs/{rig_id}", "get_rig"),
        ("POST", "/v1/keys", "create_key"),
        ("POST", "/v1/checkpoints/{checkpoint_id}/pin", "pin_checkpoint"),
        ("GET", "/v1/rigs/{rig_id}/serving", "get_rig_serving"),
        ("GET", "/v1/signing-key", "get_signing_key"),
        ("PATCH", "/v1/rigs/{rig_id}", "update_rig"),
        ("GET", "/", "get_root"),
    ],
)
def test_names_follow_from_method_and_path(method: str, path: str, name: str) -> None:
    assert _by_rule(method, path) == name


def test_refusals_their_headers_and_scopes_are_told(operations: list[Operation]) -> None:
    for path, method, operation in operations:
        answers = operation["responses"]
        assert all("X-Request-ID" in answer["headers"] for answer in answers.values())
        assert "default" not in answers
        if not path.startswith("/v1"):
            continue
        assert {"401", "403", "429", "500", "503"} <= answers.keys()
        assert "Retry-After" in answers["429"]["headers"]
        assert "WWW-Authenticate" in answers["401"]["headers"]
        assert ("404" in answers) == ("{" in path)
        assert operation["security"] == [{"ApiKey": []}]
        assert operation["x-rigfuse-scope"] in {"read", "write", "admin"}
        assert f"`{operation['x-rigfuse-scope']}`" in operation["description"]
        if "requestBody" in operation:
            assert {"400", "408", "413"} <= answers.keys()
        if "201" in answers and method == "post":
            assert "Location" in answers["201"]["headers"]


def test_links_lead_to_what_was_made(description: dict[str, Any]) -> None:
    links = description["paths"]["/v1/rigs"]["post"]["responses"]["201"]["links"]
    assert {"get_rig", "upload_capture", "estimate_poses"} <= links.keys()
    assert links["get_rig"]["parameters"] == {"path.rig_id": "$response.body#/id"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/rigs", "GET, POST"), ("/v1/rigs/rig_0", "DELETE, GET, PATCH"), ("/v1/keys/key_0", "DELETE, GET")],
)
def test_a_method_that_is_not_possible_is_answered_with_those_that_are(
    service: Service, path: str, methods: str
) -> None:
    answer = service.client.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize("value", [True, "1", "0.5"])
def test_a_number_is_a_number(service: Service, value: object) -> None:
    answer = service.client.patch("/v1/rigs/rig_0", json={"checkpoints_kept": value})
    assert (answer.status_code, answer.json()["at"]) == (422, "checkpoints_kept")
