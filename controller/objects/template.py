"""A pod written out as JSON but for its name: the pods of a type are alike in all else."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from controller.raycluster.model import Json


@dataclass(frozen=True)
class PodTemplate:
    """What stands before and after the name."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, pod: Json) -> PodTemplate:
        """The template of a pod as ``build_pod`` makes it: its metadata begin with the name."""
        kind = {"apiVersion": pod["apiVersion"], "kind": pod["kind"]}
        metadata = {name: value for name, value in pod["metadata"].items() if name != "name"}
        # Nothing is looked for in what the user wrote: whatever stands there, the name has its own place.
        before = orjson.dumps(kind)[:-1] + b',"metadata":{"name":'
        after = b"," + orjson.dumps(metadata)[1:] + b',"spec":' + orjson.dumps(pod["spec"]) + b"}"
        return cls(before, after)

    def named(self, name: str) -> bytes:
        """The pod of this name, byte for byte as it would be written out as a whole."""
        return self.before + orjson.dumps(name) + self.after
