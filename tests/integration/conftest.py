"""What several of these tests start from."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images


@pytest.fixture
def filled(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.2)
    return registry
