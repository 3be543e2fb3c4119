"""Images resident on the device as bytes, and whole batches of them cropped, mirrored and normalised.

Images lie channels-last, padded, each beside its mirror image, in one run of bytes. Every crop is then a run
of rows that starts at one byte offset, so a batch is one ``index_select`` over all possible starts (an
overlapping view that takes no memory) and one multiply-add. Sets too large to keep padded and doubled are
padded and mirrored batch by batch instead; the pixels are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kd.data.augment import Edges, Flip, Views, epoch_views
from kd.data.forecast import PREPARED_BYTES, Images
from kd.data.recipe import OFF, Changes, Recipe, blank, change

FILLED_AT_ONCE = 1024  # images: what filling takes beside the images themselves stays a few megabytes
EVALUATION_BATCH = 512  # images; larger batches gain nothing
LARGE = 64  # pixels a side above which they would take too much memory


class DeviceStore:
    """Images and labels of one part of a data set on one device: those of ``indices``, or all that are given.

    ``labels`` is int64 [N], or uint8 [N, K], on the device. ``padding`` (pixels, with ``edges`` black or mirrored),
    ``flip``, ``cutout`` (the side in pixels of a blank square, arXiv:1708.04552; 0: none) and ``recipe`` say which
    views will be asked for. Images come out as float32 [B, C, H, W], in channels-last memory. Above ``prepared_bytes``
    no padded and mirrored copies are kept. Images that are not ``resident`` stay on the host and come to the device
    batch by batch: the bits are the same, and every batch waits for its copy.
    """

    def __init__(
        self,
        images_NCHW: Tensor,
        labels: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device | str = "cpu",
        indices: Tensor | None = None,
        padding: int = 0,
        flip: Flip = False,
        edges: Edges = "black",
        cutout: int = 0,
        recipe: Recipe = OFF,
        prepared_bytes: int = PREPARED_BYTES,
        resident: bool = True,
    ) -> None:
        _, self._channels, self._size, width = images_NCHW.shape
        assert images_NCHW.dtype == torch.uint8
        assert (width, len(labels)) == (self._size, len(images_NCHW))
        self.labels = (labels if indices is None else labels[indices]).to(device)
        self.padding, self.flip, self.edges, self.cutout, self.recipe = padding, flip, edges, cutout, recipe
        # Normalised value = byte * scale + shift, both laid out over an image's [H, W * C]: no broadcasting.
        deviation = torch.tensor(std, dtype=torch.float64)
        self._scale = self._per_pixel(1 / (255 * deviation)).to(device)
        self._shift = self._per_pixel(-torch.tensor(mean, dtype=torch.float64) / deviation).to(device)

        self._count = len(self.labels)
        here = Images(count=self._count, channels=self._channels, size=self._size)
        self._prepared = resident and here.prepared_bytes(padding=padding, flip=bool(flip)) <= prepared_bytes
        images = images_NCHW.permute(0, 2, 3, 1)  # [N, H, W, C]
        changed = self._prepared and (padding or flip)
        home = torch.device(device) if resident else images.device
        if indices is None and not changed and images.device == home:
            self._images = images.contiguous()
        else:
            margin, mirrored = (padding, bool(flip)) if self._prepared else (0, False)
            self._images = _filled(images, indices, home, margin, edges, mirrored)

    def __len__(self) -> int:
        return self._count

    def views(self, *, seed: int, view: int) -> Views:
        """Return the views (crops and flips) of all images for one epoch-like number, on the device."""
        drawn = epoch_views(
            self._count,
            size=self._size,
            padding=self.padding,
            flip=self.flip,
            holes=self.cutout > 0,
            recipe=self.recipe,
            seed=seed,
            view=view,
        )
        return drawn.to(self.labels.device)

    def free(self) -> None:
        """Let go of the images; labels and length stay. Nothing can be asked for afterwards."""
        self._images = self._images[:0]

    def batch(self, indices_B: Tensor, views: Views | None = None) -> Tensor:
        """Return normalised images [B, C, H, W]: as they are, or under ``views`` made by this store."""
        indices = indices_B.to(self.labels.device)
        pixels = self._plain_pixels(indices) if views is None else self._viewed_pixels(indices, views)
        values = pixels.float()
        if views is not None and views.changes is not None:
            values = self._changed(values, views.changes, indices)
        # Two roundings, not a fused one: the same bits for any number of threads and any cut into batches.
        images = self._as_images(values.mul_(self._scale).add_(self._shift))
        if views is not None and views.holes is not None:
            images = images.masked_fill_(self._blank(views.holes.index_select(0, indices)), 0)
        if views is not None and views.changes is not None:
            erased = blank(views.changes, indices, self._size)
            images = images if erased is None else images.masked_fill_(erased, 0)
        return images

    def _changed(self, values: Tensor, changes: Changes, indices: Tensor) -> Tensor:
        """Return byte values [B, H, W * C] as a recipe changes them; they need not be whole numbers then."""
        changed = change(self._as_images(values / 255), changes, indices)
        return changed.permute(0, 2, 3, 1).flatten(2) * 255

    def _as_images(self, values: Tensor) -> Tensor:
        return values.view(len(values), self._size, self._size, self._channels).permute(0, 3, 1, 2)

    @property
    def image_size(self) -> int:
        """Height and width of an image, in pixels."""
        return self._size

    @property
    def evaluation_batch(self) -> int:
        """Images per batch where no gradient is kept: 512, fewer of more than 64 pixels a side."""
        return max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * LARGE**2 // self._size**2))

    def in_order(self, batch_size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels) of all images in order, not augmented, ``evaluation_batch`` at a time if not told.

        The last batch may be smaller.
        """
        size = batch_size or self.evaluation_batch
        for indices in torch.split(torch.arange(self._count, device=self.labels.device), size):
            yield self.batch(indices), self.labels[indices]

    def _viewed_pixels(self, indices: Tensor, views: Views) -> Tensor:
        """Return the bytes [B, H, W * C] of the images under their views."""
        flips = views.flips.index_select(0, indices)
        rows, columns = views.rows.index_select(0, indices), views.columns.index_select(0, indices)
        # Crop at c, then mirror == mirror, then crop at 2 * padding - c.
        columns = torch.where(flips, 2 * self.padding - columns, columns)
        if self._prepared:
            return self._windows(self._images, indices + self._count * flips, rows, columns)
        images = self._chosen(indices)
        if self.flip:
            images = torch.where(flips[:, None, None, None], images.flip(2), images)
        padded = _pad(images, self.padding, self.edges)
        return self._windows(padded, torch.arange(len(indices), device=indices.device), rows, columns)

    def _plain_pixels(self, indices: Tensor) -> Tensor:
        """Return the bytes [B, H, W * C] of the images as they are."""
        if self._prepared:
            margin = torch.full_like(indices, self.padding)
            return self._windows(self._images, indices, margin, margin)
        return self._chosen(indices).flatten(2)

    def _chosen(self, indices: Tensor) -> Tensor:
        """Return images [B, H, W, C] of a set that is kept as it is, on the device."""
        return self._images.index_select(0, indices.to(self._images.device)).to(self.labels.device)

    def _windows(self, images_MHWC: Tensor, which: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the bytes [B, H, W * C] of the windows at (rows, columns) of images ``which``."""
        padded_size, size, channels = images_MHWC.shape[1], self._size, self._channels
        starts = images_MHWC.numel() // channels - (size - 1) * padded_size - size + 1
        every_window = images_MHWC.as_strided((starts, size, size * channels), (channels, padded_size * channels, 1))
        return every_window.index_select(0, (which * padded_size + rows) * padded_size + columns)

    def _blank(self, holes_B2: Tensor) -> Tensor:
        """Return which pixels [B, 1, H, W] lie in the squares around these centres, as far as they are in the image.

        Blank is 0 after normalisation: the mean colour.
        """
        pixels = torch.arange(self._size, device=holes_B2.device)
        starts = holes_B2 - self.cutout // 2
        rows, columns = ((pixels >= start) & (pixels < start + self.cutout) for start in starts.T[:, :, None])
        blank: Tensor = rows[:, None, :, None] & columns[:, None, None, :]
        return blank

    def _per_pixel(self, per_channel: Tensor) -> Tensor:
        row = per_channel.to(torch.float32).repeat(self._size)
        return row.expand(self._size, -1).contiguous()


def _filled(
    images_NHWC: Tensor, indices: Tensor | None, device: torch.device, padding: int, edges: Edges, flip: bool
) -> Tensor:
    """Return the images of ``indices``, padded, and their mirror images behind them, on a device.

    Written part by part into the memory where they stay, so that no second copy of the set is ever made.
    """
    chosen = torch.arange(len(images_NHWC)) if indices is None else indices
    count, (_, size, _, channels) = len(chosen), images_NHWC.shape
    padded = size + 2 * padding
    filled = torch.empty((2 * count if flip else count, padded, padded, channels), dtype=torch.uint8, device=device)
    for start in range(0, count, FILLED_AT_ONCE):
        part = images_NHWC.index_select(0, chosen[start : start + FILLED_AT_ONCE]).to(device)
        filled[start : start + len(part)] = _pad(part, padding, edges)
        if flip:
            filled[count + start : count + start + len(part)] = _pad(part.flip(2), padding, edges)
    return filled


def _pad(images_NHWC: Tensor, padding: int, edges: Edges) -> Tensor:
    """Return the images with ``padding`` more pixels on each side: black ones, or the image mirrored at its edge."""
    if padding == 0:
        return images_NHWC
    count, size, _, channels = images_NHWC.shape
    if edges == "reflect":
        pixels = torch.arange(-padding, size + padding, device=images_NHWC.device).abs()
        pixels = (size - 1) - (size - 1 - pixels).abs()
        return images_NHWC.index_select(1, pixels).index_select(2, pixels)
    padded = images_NHWC.new_zeros(count, size + 2 * padding, size + 2 * padding, channels)
    padded[:, padding:-padding, padding:-padding] = images_NHWC
    return padded
