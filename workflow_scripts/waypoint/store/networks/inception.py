"""pytorch-fid's Inception network, its weights read from a file that is checked by its hash, never downloaded.

Torch is imported only where the network is built: planning asks for the file alone.
"""

from waypoint.errors import WaypointError
from waypoint.patches.pytorch_fid import inception_weights
from waypoint.store.artifacts.fingerprint import file_hash

PUBLISHED = "6726825d"  # beginning of the SHA-256 of pytorch-fid's published weights
BATCH = 50  # images at 299 × 299 pixels at once


def require_weights(path, sha256):
    """The file's SHA-256, which must begin with ``sha256``.

    Raises:
        WaypointError: no such file, or other contents; names the key, the file and the alternative.
    """
    remedy = "or set evaluation.fid.features: classifier, which needs no weights"
    try:
        found = file_hash(path)
    except OSError as error:
        raise WaypointError(
            f"evaluation.fid.weights: {path} cannot be read ({error.strerror}); give the file of pytorch-fid's "
            f"Inception weights, {remedy}"
        ) from error
    if not found.startswith(sha256):
        raise WaypointError(
            f"evaluation.fid.weights: the SHA-256 of {path} begins with {found[:8]}, evaluation.fid.sha256 says "
            f"{sha256}; give that file, say that you mean this one, {remedy}"
        )
    return found


def table_name(sha256, dims):
    """How tables call these features: only the published network with 2048 dimensions is plainly ``inception``."""
    parts = ["inception"]
    if not sha256.startswith(PUBLISHED):
        parts.append(sha256[:8])
    if dims != 2048:
        parts.append(str(dims))
    return "-".join(parts)


class Inception:
    """Inception's features.

    Args:
        weights: file of a state dict. sha256: what its hash begins with. dims: 64, 192, 768 or 2048.

    Attributes:
        name: for tables.

    Raises:
        WaypointError: as ``require_weights``, or a file that does not hold this network's weights.
    """

    def __init__(self, weights, sha256, dims, device="cpu"):
        import torch
        from pytorch_fid import inception

        self.name = table_name(require_weights(weights, sha256), dims)
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            with inception_weights(state):
                network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]])
        except WaypointError:
            raise
        except Exception as error:  # torch raises many kinds over a file that is not what it should be
            raise WaypointError(
                f"evaluation.fid.weights: {weights} does not hold pytorch-fid's Inception weights ({error})"
            ) from error
        self.network = network.eval().to(device)

    def features(self, images):
        """Features (B, dims) of images (B, 1 or 3, H, W) in [-1, 1], averaged over positions as pytorch-fid does.

        Raises:
            WaypointError: another number of channels.
        """
        import torch

        if images.shape[1] not in (1, 3):
            raise WaypointError(f"evaluation.fid: Inception sees grey or RGB images, not {images.shape[1]} channels")
        colour = ((images + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)
        with torch.inference_mode():
            return torch.cat([self.network(batch)[0].mean((2, 3)) for batch in colour.split(BATCH)])
