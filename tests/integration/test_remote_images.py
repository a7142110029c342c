"""Images on S3, against a real S3 protocol server on this machine: registered, read, cached, trained on from there."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.export_images import ExportRequest
from annotator.datasets.import_request import ImportRequest

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

import boto3  # noqa: E402
import fsspec  # noqa: E402

from annotator.datasets.export_images import export_images  # noqa: E402
from annotator.datasets.import_images import import_images  # noqa: E402
from annotator.errors import DataUnreadable  # noqa: E402
from db.curation.doctor import find_problems  # noqa: E402
from db.imaging.decode import read_image  # noqa: E402
from db.records import LocationStatus  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def bucket(monkeypatch):
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="scans")
    fsspec.filesystem("s3").clear_instance_cache()
    yield client
    # The server's memory is this process's: it would still be there for the next test.
    for item in client.list_objects_v2(Bucket="scans").get("Contents", []):
        client.delete_object(Bucket="scans", Key=item["Key"])
    client.delete_bucket(Bucket="scans")
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def png(seed):
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def put(client, **files):
    for key, data in files.items():
        client.put_object(Bucket="scans", Key=key, Body=data)


def mask():
    buffer = io.BytesIO()
    array = np.zeros((40, 50), dtype=np.uint8)
    array[5:15, 10:30] = 255
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def images_of(registry):
    with registry.read() as tx:
        return {image.path.name: image for image in tx.images.select()}


def test_class_folders_in_a_bucket(registry, bucket):
    put(bucket, **{"set/benign/a b.png": png(1), "set/malignant/ü.png": png(2), "set/benign/bad.png": b"no image"})
    report = import_images(registry, ImportRequest("s3://scans/set", "folders"))
    assert report.registered == 2
    assert [refusal.file for refusal in report.refused] == ["benign/bad.png"]
    images = images_of(registry)
    assert str(images["a b.png"].path) == "s3://scans/set/benign/a b.png"
    assert (images["ü.png"].class_name, images["ü.png"].width) == ("malignant", 50)
    again = import_images(registry, ImportRequest("s3://scans/set", "folders"))
    assert (again.registered, again.unchanged) == (0, 2)


def test_a_table_in_a_bucket_with_masks(registry, bucket):
    table = "image,class,mask\na.png,benign,masks/a.png\n../secret.png,benign,\n"
    put(
        bucket,
        **{"set/a.png": png(1), "set/masks/a.png": mask(), "secret.png": png(3), "set/labels.csv": table.encode()},
    )
    report = import_images(registry, ImportRequest("s3://scans/set/labels.csv", "csv"))
    assert report.registered == 1
    assert "outside" in report.refused[0].reason
    image = images_of(registry)["a.png"]
    assert (image.location_status, image.boxes[0].x, image.boxes[0].width) == (LocationStatus.PRESENT, 10, 20)


def test_a_table_here_with_images_in_a_bucket(registry, bucket, tmp_path):
    put(bucket, **{"set/a.png": png(1)})
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "class"], ["a.png", "benign"], ["none.png", "benign"]])
    report = import_images(registry, ImportRequest(tmp_path / "labels.csv", "csv", images="s3://scans/set"))
    assert (report.registered, report.refused[0].reason) == (1, "no such file")


def test_what_was_read_once_is_read_from_the_cache(registry, bucket):
    put(bucket, **{"set/benign/a.png": png(1)})
    import_images(registry, ImportRequest("s3://scans/set", "folders"))
    bucket.delete_object(Bucket="scans", Key="set/benign/a.png")
    image = images_of(registry)["a.png"]
    assert read_image(image.path).shape == (40, 50, 3)
    assert registry.root / ".cache" in image.path.cache.parents
    assert [finding.kind for finding in find_problems(registry)] == []
    assert [finding.kind for finding in find_problems(registry, verify_files=True)] == ["missing_file"]


def test_remote_images_are_exported(registry, bucket, tmp_path):
    put(bucket, **{"set/benign/a.png": png(1)})
    import_images(registry, ImportRequest("s3://scans/set", "folders"))
    assert export_images(registry, ExportRequest(tmp_path / "out", "csv", unlabeled=True)).images == 1
    assert (tmp_path / "out" / "images" / "a.png").read_bytes() == png(1)


def test_a_bucket_that_is_not_there_says_so(registry, bucket):
    with pytest.raises(DataUnreadable, match="s3://nothing"):
        import_images(registry, ImportRequest("s3://nothing/set", "folders"))
    with pytest.raises(DataUnreadable):
        import_images(registry, ImportRequest("s3://nothing/labels.csv", "csv"))


def test_a_file_uri_is_a_local_folder(registry, tmp_path):
    (tmp_path / "set" / "benign").mkdir(parents=True)
    (tmp_path / "set" / "benign" / "a.png").write_bytes(png(1))
    assert import_images(registry, ImportRequest((tmp_path / "set").as_uri(), "folders")).registered == 1
    assert str(images_of(registry)["a.png"].path) == f"{tmp_path}/set/benign/a.png"
