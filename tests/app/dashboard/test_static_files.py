"""What pages are made of comes from the service itself, and browsers keep it."""

import gzip
import re

from running import Service

from app.dashboard.static_files import static_files


def test_a_page_names_only_files_that_are_here(service: Service) -> None:
    page = service.client.get("/nothing", headers={"Accept": "text/html"}).text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        answer = service.client.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


def test_a_file_is_compressed_for_who_reads_that(service: Service) -> None:
    address = static_files().url("app.css")
    with service.client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    plain = service.client.get(address, headers={"Accept-Encoding": "identity"}).content
    assert gzip.decompress(raw) == plain
    assert len(raw) < len(plain) / 2


def test_an_address_of_another_version_is_not_kept(service: Service) -> None:
    answer = service.client.get("/static/0000/app.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


def test_there_is_no_way_out_of_the_folder(service: Service) -> None:
    for path in ("..%2Fpages.py", "%2e%2e/pages.py", "nothing.js", "vendor", "vendor/VENDORED.md"):
        assert service.client.get(f"/static/x/{path}").status_code == 404, path


def test_scripts_import_only_what_is_served() -> None:
    files = static_files().by_path
    for path, file in files.items():
        folder = path.rpartition("/")[0]
        if path.endswith(".js") and not path.startswith("vendor/"):
            for name in re.findall(r'from "\./([^"]+)"', file.data.decode()):
                assert f"{folder}/{name}".lstrip("/") in files, f"{path} imports {name}"
