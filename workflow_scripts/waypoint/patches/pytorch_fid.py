"""Give pytorch-fid's Inception network weights from a file instead of a download.

Written for pytorch-fid 0.3.0, whose ``fid_inception_v3`` calls its module's ``load_state_dict_from_url`` and has no
argument for weights.
"""

import contextlib

from waypoint.errors import WaypointError

LOADER = "load_state_dict_from_url"


@contextlib.contextmanager
def inception_weights(state):
    """Within this context pytorch-fid's Inception loads a given state dict instead of downloading one.

    Raises:
        WaypointError: another version of pytorch-fid, which loads its weights differently.
    """
    from pytorch_fid import inception

    original, loads = getattr(inception, LOADER, None), []
    if original is None:
        raise WaypointError(_version_error(f"pytorch_fid.inception has no {LOADER}"))
    setattr(inception, LOADER, lambda *_, **__: loads.append(state) or state)
    try:
        yield
    finally:
        setattr(inception, LOADER, original)
    if not loads:  # the network was built from other weights
        raise WaypointError(_version_error(f"it does not call {LOADER}"))


def _version_error(reason):
    return f"evaluation.fid.features: inception needs pytorch-fid 0.3.0 ({reason}); install that version"
