"""Masks both ways through a real Label Studio: paint without loss, outlines within a pixel, corrections."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import result_from_mask
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.interpret import location_in
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from db.imaging.decode import mask_from_png
from db.records import LocationSource

pytestmark = pytest.mark.studio


def known_masks(registry):
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select() if image.label and image.label.has_mask}
        pngs = tx.labels.mask_pngs([image.label.id for image in images.values()])
    return images, {image.id: mask_from_png(pngs[image.label.id]) for image in images.values()}


def tasks_of(client, project):
    tasks = client.list_tasks(project, with_annotations=True)
    return {int(task["data"][KEY].partition("-")[0]): task for task in tasks}


@pytest.mark.parametrize("outlines", [False, True])
def test_what_is_known_goes_there_and_corrections_come_back(registry, phantoms, studio, client, outlines):
    import_images(registry, ImportRequest(phantoms, "csv"))
    title = f"masks {outlines}"
    connection = connect_project(
        registry, client, ConnectRequest(title=title, masks=True), media_folder=studio.media
    ).connection
    push_images(registry, client, PushRequest(what="all", known=True, polygons=outlines), media_folder=studio.media)
    images, masks = known_masks(registry)
    assert len(images) > 20
    tasks = tasks_of(client, connection.project_id)
    for image_id, image in images.items():
        (annotation,) = tasks[image_id]["annotations"]
        _, png = location_in(annotation["result"], image)
        back_HW, mask_HW = mask_from_png(png), masks[image_id]
        if outlines:
            depth_HW = np.where(mask_HW, distance_transform_edt(mask_HW), distance_transform_edt(~mask_HW))
            assert depth_HW[back_HW != mask_HW].max(initial=0) <= 1
        else:
            assert np.array_equal(back_HW, mask_HW)
    assert pull_reviews(registry, client).created == 0, "nobody has said anything yet"
    image = images[min(images)]
    smaller_HW = masks[image.id].copy()
    smaller_HW[:, : image.width // 2] = False
    smaller_HW = smaller_HW if smaller_HW.any() else np.roll(masks[image.id], 3, axis=1)
    (annotation,) = tasks[image.id]["annotations"]
    prefix = str(annotation["result"][0]["id"])[:-1]
    client.update_annotation(int(annotation["id"]), result_from_mask(smaller_HW, region_prefix=prefix))
    report = pull_reviews(registry, client)
    assert (report.created, report.outcomes) == (1, {"drawn": 1})
    with registry.read() as tx:
        label = tx.images.get(image.id).label
        assert np.array_equal(mask_from_png(tx.labels.mask_pngs([label.id])[label.id]), smaller_HW)
    assert (label.source, label.reviewer) == (LocationSource.DRAWN, client.whoami())
    assert pull_reviews(registry, client, PullRequest(full=True)).created == 0
    drawn = push_images(registry, client, PushRequest(what="all", known=True), media_folder=studio.media)
    assert (drawn.created, drawn.unchanged) == (0, 48)


def test_a_project_without_tools_for_masks_shows_the_boxes(registry, phantoms, studio, client):
    import_images(registry, ImportRequest(phantoms, "csv"))
    connection = connect_project(
        registry, client, ConnectRequest(title="only boxes"), media_folder=studio.media
    ).connection
    push_images(registry, client, PushRequest(what="all", known=True, limit=12), media_folder=studio.media)
    tasks = tasks_of(client, connection.project_id)
    kinds = {region["type"] for task in tasks.values() for said in task["annotations"] for region in said["result"]}
    assert kinds == {"rectanglelabels"}
