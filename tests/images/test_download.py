"""Downloads against a server of the test's own, which breaks off, lies, and ignores what it is asked."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cl_course import data
from cl_course.images import download
from cl_course.images.download import ARCHIVES, Archive, fetch

CONTENT = np.random.default_rng(0).bytes(100_000)


class Server:
    """Serves one content; `break_after` says after how many bytes each request is cut off, None: not."""

    def __init__(self, content=CONTENT, ranges=True, break_after=(), status=200, says=None, length=True):
        self.requests = []  # (Range header, bytes sent)
        self.encodings = set()
        cuts = iter(break_after)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):
                asked = handler.headers.get("Range")
                self.encodings.add(handler.headers["Accept-Encoding"])
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
                rest = content[start:]
                handler.send_response(206 if start else status)
                if start:
                    handler.send_header("Content-Range", f"bytes {says or start}-{len(content) - 1}/{len(content)}")
                if length:
                    handler.send_header("Content-Length", str(len(rest)) if length is True else length)
                handler.end_headers()
                sent = rest[: next(cuts, None)]
                self.requests.append((asked, len(sent)))
                handler.wfile.write(sent)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/things.tar.gz"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    servers = []

    def start(*args, **kwargs):
        servers.append(Server(*args, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def refusing() -> str:
    """An address where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/things.tar.gz"


def things(*urls: str) -> Archive:
    return Archive("things.tar.gz", len(CONTENT), hashlib.md5(CONTENT).hexdigest(), urls)


def test_a_whole_download_has_the_final_name_and_leaves_no_part(serve, tmp_path):
    server = serve()
    path = fetch(things(server.url), tmp_path)
    assert path == tmp_path / "things.tar.gz" and path.read_bytes() == CONTENT
    assert not list(tmp_path.glob("*.part"))
    fetch(things(server.url), tmp_path)
    assert server.requests == [(None, 100_000)]  # what is there is not fetched again
    assert server.encodings == {"identity"}  # packed once more, the bytes would be others


def test_a_broken_download_goes_on_where_it_stopped(serve, tmp_path):
    server = serve(break_after=[30_000, 20_000])
    assert fetch(things(server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == [(None, 30_000), ("bytes=30000-", 20_000), ("bytes=50000-", 50_000)]


def test_a_download_of_an_earlier_run_goes_on(serve, tmp_path):
    (tmp_path / "things.tar.gz.part").write_bytes(CONTENT[:99_000])
    server = serve()
    assert fetch(things(server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("bytes=99000-", 1_000)]


def test_the_next_mirror_goes_on_where_the_last_one_stopped(serve, tmp_path):
    first, second = serve(break_after=[40_000, 0, 0]), serve()
    assert fetch(things(first.url, second.url), tmp_path).read_bytes() == CONTENT
    assert second.requests == [("bytes=40000-", 60_000)]


def test_a_server_that_ignores_range_sends_all_again(serve, tmp_path):
    server = serve(ranges=False, break_after=[30_000])
    assert fetch(things(server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == [(None, 30_000), ("bytes=30000-", 100_000)]


def test_a_server_that_sends_another_range_is_not_believed(serve, tmp_path):
    (tmp_path / "things.tar.gz.part").write_bytes(CONTENT[:50_000])
    wrong, right = serve(says=10), serve()
    assert fetch(things(wrong.url, right.url), tmp_path).read_bytes() == CONTENT
    assert right.requests == [("bytes=50000-", 50_000)]


def test_a_wrong_checksum_is_thrown_away_and_the_next_mirror_asked(serve, tmp_path):
    wrong, right = serve(content=bytes(100_000)), serve()
    assert fetch(things(wrong.url, right.url), tmp_path).read_bytes() == CONTENT
    assert right.requests == [(None, 100_000)]


def test_a_wrong_start_does_not_spoil_a_good_mirror(serve, tmp_path):
    (tmp_path / "things.tar.gz.part").write_bytes(bytes(50_000))
    server = serve()
    assert fetch(things(server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("bytes=50000-", 50_000), (None, 100_000)]


def test_a_file_of_another_size_is_not_even_fetched(serve, tmp_path):
    page, right = serve(content=b"<html>moved</html>"), serve()
    assert fetch(things(page.url, right.url), tmp_path).read_bytes() == CONTENT
    (tmp_path / "things.tar.gz").unlink()
    with pytest.raises(FileNotFoundError, match="offers 18 bytes instead of 100,000"):
        fetch(things(page.url), tmp_path)


@pytest.mark.parametrize("length", [None, "many"])
def test_an_answer_without_a_length_does_not_spoil_what_has_arrived(serve, tmp_path, length):
    (tmp_path / "things.tar.gz.part").write_bytes(CONTENT[:99_000])
    page, good = serve(content=b"<html>log in first", ranges=False, length=length), serve()
    with pytest.raises(FileNotFoundError, match=r"does not say how many bytes it sends.*\(what arrived is kept\)"):
        fetch(things(page.url), tmp_path)
    assert fetch(things(page.url, good.url), tmp_path).read_bytes() == CONTENT
    assert good.requests == [("bytes=99000-", 1_000)]


def talker(says: bytes | None) -> str:
    """The address of what speaks no HTTP, or nothing at all."""
    listening = socket.create_server(("127.0.0.1", 0))
    held = []

    def answer():
        while True:
            connection, _ = listening.accept()
            held.append(connection)  # dropped, it would be closed
            if says is not None:
                connection.recv(10_000)
                connection.sendall(says)
                connection.close()

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/things.tar.gz"


@pytest.mark.parametrize("says", [b"what?\r\n\r\n", None], ids=["no HTTP", "silent"])
def test_a_mirror_that_talks_nonsense_or_not_at_all_is_passed_over(serve, tmp_path, monkeypatch, says):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    assert fetch(things(talker(says), serve().url), tmp_path).read_bytes() == CONTENT


def test_there_is_a_pause_before_each_resumption(serve, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "PAUSE", 7.0)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    fetch(things(serve(break_after=[30_000, 20_000]).url), tmp_path)
    assert pauses == [7.0, 7.0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_not_blamed_on_the_mirrors(serve, tmp_path):
    server = serve()
    (tmp_path / "things.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(
        ValueError, match=r"things.tar.gz.part cannot be written \(.*No space left.*\); 100,000 bytes are needed"
    ):
        fetch(things(server.url), tmp_path)
    assert len(server.requests) == 1  # nobody else was asked


def test_a_complete_part_is_checked_not_fetched(serve, tmp_path):
    (tmp_path / "things.tar.gz.part").write_bytes(CONTENT)
    server = serve()
    assert fetch(things(server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == []


def test_mirrors_that_are_down_are_passed_over(serve, tmp_path):
    gone, server = serve(status=404), serve()
    assert fetch(things(refusing(), gone.url, server.url), tmp_path).read_bytes() == CONTENT
    assert server.requests == [(None, 100_000)]


def test_all_down_is_one_error_that_names_them_and_the_place(serve, tmp_path):
    nobody, liar = refusing(), serve(content=bytes(100_000))
    archive = things(nobody, liar.url)
    with pytest.raises(FileNotFoundError) as error:
        fetch(archive, tmp_path)
    message = str(error.value)
    for part in (
        nobody,
        "refused",
        liar.url,
        "wrong checksum",
        str(tmp_path),
        archive.md5,
        "100,000",
        "CL_COURSE_DATA",
    ):
        assert part in message
    assert error.value.__cause__ is None and error.value.__suppress_context__  # one error, no chain of them
    assert not list(tmp_path.glob("things.tar.gz")) and not list(tmp_path.glob("*.part"))


def test_two_askers_at_once_download_once(serve, tmp_path):
    server = serve()
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch(things(server.url), tmp_path), range(2)))
    assert paths[0].read_bytes() == CONTENT and len(server.requests) == 1


def test_offline_load_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CL_COURSE_DATA", raising=False)
    monkeypatch.setitem(download.ARCHIVES, "cifar10", things(refusing()))
    with pytest.raises(FileNotFoundError, match="put it into .*cache"):
        data.load("cifar10", "train")


def test_the_cache_must_be_writable(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (blocked / "folder", blocked):
        with pytest.raises(ValueError, match="set CL_COURSE_CACHE"):
            fetch(things(refusing()), folder)


def test_the_archives_are_those_torchvision_knows():
    from torchvision.datasets import CIFAR10, STL10

    for archive, theirs in ((ARCHIVES["cifar10"], CIFAR10), (ARCHIVES["stl10"], STL10)):
        assert (archive.filename, archive.md5) == (theirs.filename, theirs.tgz_md5)
        assert theirs.url in archive.mirrors
        assert all(Path(url.split("?")[0]).name == archive.filename for url in archive.mirrors)
