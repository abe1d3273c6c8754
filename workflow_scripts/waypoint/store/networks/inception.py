"""pytorch-fid's Inception network; its weights are read from a file with a known hash and never downloaded.

Torch is imported only to build the network; planning needs only the file.
"""

from typing import TYPE_CHECKING

# pytorch-fid has no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
from waypoint.errors import WaypointError
from waypoint.patches.pytorch_fid import inception_weights
from waypoint.store.artifacts.fingerprint import file_hash
from waypoint.store.types import StrPath

if TYPE_CHECKING:
    import torch

PUBLISHED = "6726825d"  # beginning of the SHA-256 of pytorch-fid's published weights
BATCH = 50  # images of 299 × 299 pixels per call


def require_weights(path: StrPath, sha256: str) -> str:
    """Return the file's SHA-256, which must begin with ``sha256``.

    Raises:
        WaypointError: the file is missing or has other contents; names the key, the file and a remedy.
    """
    remedy = "or set evaluation.fid.features: classifier, which needs no weights"
    try:
        actual = file_hash(path)
    except OSError as error:
        raise WaypointError(
            f"evaluation.fid.weights: {path} cannot be read ({error.strerror}); give the file of pytorch-fid's "
            f"Inception weights, {remedy}"
        ) from error
    if not actual.startswith(sha256):
        raise WaypointError(
            f"evaluation.fid.weights: the SHA-256 of {path} begins with {actual[:8]}, evaluation.fid.sha256 says "
            f"{sha256}; give that file, set evaluation.fid.sha256 to this hash, {remedy}"
        )
    return actual


def table_name(sha256: str, dims: int) -> str:
    """Return the name of these features in tables: ``inception`` for the published network with 2048 dimensions."""
    parts = ["inception"]
    if not sha256.startswith(PUBLISHED):
        parts.append(sha256[:8])
    if dims != 2048:
        parts.append(str(dims))
    return "-".join(parts)


class Inception:
    """Inception's features.

    Args:
        weights: a file with a state dict. sha256: the beginning of its hash. dims: 64, 192, 768 or 2048.

    Attributes:
        name: as in tables.

    Raises:
        WaypointError: as ``require_weights``, or the file does not hold weights of this network.
    """

    def __init__(self, weights: StrPath, sha256: str, dims: int, device: "torch.device | str" = "cpu"):
        import torch
        from pytorch_fid import inception

        self.name = table_name(require_weights(weights, sha256), dims)
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            with inception_weights(state):
                network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]])
        except WaypointError:
            raise
        except Exception as error:  # torch raises many kinds of exceptions for unexpected files
            raise WaypointError(
                f"evaluation.fid.weights: {weights} does not hold pytorch-fid's Inception weights ({error})"
            ) from error
        self.network = network.eval().to(device)

    def features(self, images: "torch.Tensor") -> "torch.Tensor":
        """Features (B, dims) of images (B, 1 or 3, H, W) in [-1, 1], averaged over positions as pytorch-fid does.

        Raises:
            WaypointError: the images have another number of channels.
        """
        import torch

        if images.shape[1] not in (1, 3):
            raise WaypointError(f"evaluation.fid: Inception sees grey or RGB images, not {images.shape[1]} channels")
        colour = ((images + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)
        with torch.inference_mode():
            return torch.cat([self.network(batch)[0].mean((2, 3)) for batch in colour.split(BATCH)])
