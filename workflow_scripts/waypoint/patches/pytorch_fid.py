"""pytorch-fid builds its Inception network from weights that it downloads; here it takes them from a file.

Written for pytorch-fid 0.3.0, whose ``fid_inception_v3`` calls ``load_state_dict_from_url`` of its own module and has
no argument for weights.
"""

import contextlib

from waypoint.errors import WaypointError

LOADER = "load_state_dict_from_url"


@contextlib.contextmanager
def inception_weights(state):
    """A context in which pytorch-fid's Inception takes a state dict in place of a download.

    Raises:
        WaypointError: another version of pytorch-fid, which does not ask for its weights in this way.
    """
    from pytorch_fid import inception

    original, asked = getattr(inception, LOADER, None), []
    if original is None:
        raise WaypointError(_unknown(f"pytorch_fid.inception has no {LOADER}"))
    setattr(inception, LOADER, lambda *_, **__: asked.append(state) or state)
    try:
        yield
    finally:
        setattr(inception, LOADER, original)
    if not asked:  # the network was built from something else
        raise WaypointError(_unknown(f"it does not call {LOADER}"))


def _unknown(reason):
    return f"evaluation.fid.features: inception needs pytorch-fid 0.3.0 ({reason}); install that version"
