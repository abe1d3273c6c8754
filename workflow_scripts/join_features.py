"""Join the shards of one checkpoint's features, in order."""

from waypoint.errors import WaypointError
from waypoint.store.arrays import blocks, create_store, read
from waypoint.workflow.script import run


def main(job):
    shards = [job.open(path) for path in job.args.shards]
    weights = {shard.attrs["weights"] for shard in shards}
    if len(weights) > 1:
        raise WaypointError(f"shards of {job.args.out} come from different weights; delete them and rerun")
    n = sum(shard["phi"].shape[0] for shard in shards)
    first = dict(shards[0].attrs)

    def attributes():
        return job.provenance(checkpoint=first["checkpoint"], weights=first["weights"], parameters=first["parameters"])

    with create_store(job.args.out, attributes) as store:
        store.create("train", ["train"], (n,), "int64")
        d, halves = shards[0]["phi"].shape[1], "phi_half" in shards[0]
        store.create("phi", ["train", "feature"], (n, d))
        if halves:
            store.create("phi_half", ["train", "half", "feature"], (n, 2, d))
        offset = 0
        for shard in shards:
            for start, phi in blocks(shard["phi"]):
                train = read(shard["train"], slice(start, start + len(phi)))
                where = slice(offset + start, offset + start + len(phi))
                store.put("phi", where, phi, "image", train)
                store.put("train", where, train, "image", train)
                if halves:
                    part = read(shard["phi_half"], slice(start, start + len(phi)))
                    store.put("phi_half", where, part, "image", train)
            offset += shard["phi"].shape[0]


if __name__ == "__main__":
    run(main, "features", ["shards*", "out"])
