"""Join the shards of one checkpoint's features, in order."""

from waypoint.errors import WaypointError
from waypoint.store.zarr.reader import blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


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
        for name, array in shards[0].arrays():
            store.create(name, array.metadata.dimension_names, (n, *array.shape[1:]), array.dtype)
            offset = 0
            for shard in shards:
                train = read(shard["train"])
                for start, values in blocks(shard[name]):
                    stop = start + len(values)
                    store.put(name, slice(offset + start, offset + stop), values, "image", train[start:stop])
                offset += len(train)


if __name__ == "__main__":
    run(main, "features", ["shards*", "out"])
